import { createRoute, Outlet } from "@tanstack/react-router";
import { Frame, loadSession, NotFound, PageFailure } from "../features/frame";
import { rootRoute } from "./__root";

/** Parent of every page with the shell around it. It has no path of its own. */
export const framedRoute = createRoute({
  getParentRoute: () => rootRoute,
  id: "framed",
  beforeLoad: loadSession,
  component: () => (
    <Frame>
      <Outlet />
    </Frame>
  ),
  errorComponent: PageFailure,
  notFoundComponent: NotFound,
});
