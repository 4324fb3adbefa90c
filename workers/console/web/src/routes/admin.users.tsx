import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { list, NeedsRole, oneOf, requireSession, searchOf, text } from "../features/frame";
import { framedRoute } from "./framed";

const UsersPage = lazyRouteComponent(() => import("../features/access"), "UsersPage");

// Hoisted: inside the options the types of the parameters would not be inferred.
const validateSearch = searchOf({
  tab: oneOf("users", "access", "organizations"),
  q: text,
  role: oneOf("user", "admin", "superadmin"),
  status: oneOf("active", "disabled"),
  org: text,
  open: text,
  sort: text,
  columns: list,
});

const needed = "admin";

/** Loaded with its route and when a link is hovered, as a page is that stands there alone; asked for while it is drawn it would suspend. */
const Page = Object.assign(
  () => (
    <NeedsRole role={needed}>
      <UsersPage />
    </NeedsRole>
  ),
  { preload: async () => UsersPage.preload?.() },
);

export const usersRoute = createRoute({
  getParentRoute: () => framedRoute,
  path: "/admin/users",
  validateSearch,
  staticData: { crumb: "Users" },
  beforeLoad: requireSession,
  component: Page,
});
