import { createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { list, oneOf, requireSession, searchOf, text } from "../features/frame";
import { framedRoute } from "./framed";

// Hoisted: inside the options the types of the parameters would not be inferred.
const validateSearch = searchOf({
  tab: oneOf("overview", "config", "keys", "limits", "budgets", "projects", "deployments", "history", "danger"),
  view: oneOf("form", "json"),
  q: text,
  entry: text,
  sort: text,
  columns: list,
});

/** Both features, joined here because neither may import the other. */
async function load() {
  const [{ InstancePage }, { ProviderKeys }] = await Promise.all([import("../features/instances"), import("../features/providers")]);
  function InstanceRoute() {
    const { id } = instanceRoute.useParams();
    // Another instance is another page: nothing that was typed for one may be saved to the other.
    return <InstancePage key={id} providerKeys={<ProviderKeys instanceId={id} />} />;
  }
  return { InstanceRoute };
}

export const instanceRoute = createRoute({
  getParentRoute: () => framedRoute,
  path: "/admin/instances/$id",
  validateSearch,
  staticData: { crumb: "$id", under: { path: "/admin/instances", crumb: "Instances" } },
  beforeLoad: requireSession,
  component: lazyRouteComponent(load, "InstanceRoute"),
});
