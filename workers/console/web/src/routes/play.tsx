import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { oneOf, searchOf, text } from "../features/frame";
import { framedRoute } from "./framed";

// Hoisted: inside the options the types of the parameters would not be inferred.
const validateSearch = searchOf({ job: text, tab: oneOf("picture", "json", "code") });

export const playRoute = createRoute({
  getParentRoute: () => framedRoute,
  path: "/play",
  validateSearch,
  staticData: { crumb: "Playground" },
  component: lazyRouteComponent(() => import("../features/play"), "PlayPage"),
});
