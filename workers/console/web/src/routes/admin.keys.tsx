import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { flag, list, oneOf, requireSession, searchOf, text } from "../features/frame";
import { framedRoute } from "./framed";

// Hoisted: inside the options the types of the parameters would not be inferred.
const validateSearch = searchOf({
  tab: oneOf("keys", "sessions"),
  owner: text,
  status: oneOf("active", "rotating", "expiring", "expired", "revoked", "orphaned"),
  unused: flag,
  user: text,
  open: text,
  sort: text,
  columns: list,
});

export const keysRoute = createRoute({
  getParentRoute: () => framedRoute,
  path: "/admin/keys",
  validateSearch,
  staticData: { crumb: "Keys" },
  beforeLoad: requireSession,
  component: lazyRouteComponent(() => import("../features/access"), "KeysPage"),
});
