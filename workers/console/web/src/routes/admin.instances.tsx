import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { list, oneOf, requireSession, searchOf, text } from "../features/frame";
import { framedRoute } from "./framed";

// Hoisted: inside the options the types of the parameters would not be inferred.
const validateSearch = searchOf({ q: text, status: oneOf("deploying", "active", "paused", "deleting"), sort: text, columns: list });

export const instancesRoute = createRoute({
  getParentRoute: () => framedRoute,
  path: "/admin/instances",
  validateSearch,
  staticData: { crumb: "Instances" },
  beforeLoad: requireSession,
  component: lazyRouteComponent(() => import("../features/instances"), "InstancesPage"),
});
