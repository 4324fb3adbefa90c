export { KeysPage } from "./KeysPage";
export { UsersPage } from "./UsersPage";
