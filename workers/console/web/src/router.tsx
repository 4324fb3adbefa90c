import { QueryClient } from "@tanstack/react-query";
import { createRouter } from "@tanstack/react-router";
import { PageFailure, PagePending, parseSearch, stringifySearch } from "./features/frame";
import { rootRoute } from "./routes/__root";
import { instancesRoute } from "./routes/admin.instances";
import { instanceRoute } from "./routes/admin.instances.$id";
import { keysRoute } from "./routes/admin.keys";
import { usersRoute } from "./routes/admin.users";
import { framedRoute } from "./routes/framed";
import { indexRoute } from "./routes/index";
import { loginRoute } from "./routes/login";
import { playRoute } from "./routes/play";

export const queryClient = new QueryClient({
  defaultOptions: {
    // Repeats are the transport's; the page fetches when it opens, by its interval, and when it is asked to.
    queries: { retry: false, refetchOnWindowFocus: false, networkMode: "always", throwOnError: false },
    mutations: { retry: false, networkMode: "always" },
  },
});

export const router = createRouter({
  routeTree: rootRoute.addChildren([
    indexRoute,
    loginRoute,
    framedRoute.addChildren([playRoute, instancesRoute, instanceRoute, usersRoute, keysRoute]),
  ]),
  context: { queryClient },
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  defaultPreloadDelay: 80,
  defaultErrorComponent: PageFailure,
  defaultPendingComponent: PagePending,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
  interface StaticDataRouteOption {
    /** The page's name in the breadcrumb; `$name` is that parameter. */
    crumb?: string;
    /** The page above it, when the address is not below that page's route. */
    under?: { path: string; crumb: string };
  }
}
