/** The frame around all pages: shell, sign-in, guards, search parameters. */
export { NotFound, PageFailure, PagePending, StartFailure } from "./Failures";
export { Frame } from "./Frame";
export { leaveIfSignedIn, loadSession, requireSession, type RouterContext } from "./guard";
export { LoginPage } from "./LoginPage";
export { NeedsRole } from "./NeedsRole";
export { flag, int, list, oneOf, parseSearch, searchOf, stringifySearch, text } from "./search";
