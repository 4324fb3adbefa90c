import { createRoute } from "@tanstack/react-router";
import { LoginPage, leaveIfSignedIn, searchOf, text } from "../features/frame";
import { rootRoute } from "./__root";

// Hoisted: inside the options the types of the parameters would not be inferred.
const validateSearch = searchOf({ next: text });

export const loginRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/login",
  validateSearch,
  beforeLoad: ({ context, search }) => leaveIfSignedIn(context, search.next),
  component: LoginPage,
});
