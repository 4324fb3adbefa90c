import { createRootRouteWithContext, Outlet } from "@tanstack/react-router";
import { Frame, NotFound, type RouterContext, searchOf, StartFailure, text } from "../features/frame";

// Hoisted: inside the options the types of the parameters would not be inferred.
const validateSearch = searchOf({ instance: text });

export const rootRoute = createRootRouteWithContext<RouterContext>()({
  // The instance is part of every address behind the sign-in.
  validateSearch,
  search: {
    middlewares: [
      ({ search, next }) => {
        const to = next(search);
        return to.instance === undefined && search.instance !== undefined ? { ...to, instance: search.instance } : to;
      },
    ],
  },
  component: Outlet,
  errorComponent: StartFailure,
  notFoundComponent: () => (
    <Frame>
      <NotFound />
    </Frame>
  ),
});
