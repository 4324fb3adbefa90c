/** What opening a page asks for, call by call: a page that begins to ask for more fails here. */
import { expect, test } from "./harness";

const SHELL = "GET /auth/session";
const DIRECTORY = "/api/config-service";

const pages: readonly { path: string; as: string | null; calls: readonly string[] }[] = [
  { path: "/login", as: null, calls: [] },
  { path: "/play", as: null, calls: [] },
  { path: "/play", as: "admin", calls: ["GET /api/image-gen/v1/models"] },
  { path: "/admin/instances", as: "admin", calls: [`GET ${DIRECTORY}/instance`, `GET ${DIRECTORY}/worker`] },
  { path: "/admin/instances/development", as: "admin", calls: [`GET ${DIRECTORY}/instance/development`, `GET ${DIRECTORY}/worker`, `GET ${DIRECTORY}/worker`] },
  { path: "/admin/instances/development?tab=config", as: "admin", calls: [`GET ${DIRECTORY}/instance/development`] },
  { path: "/admin/instances/development?tab=keys", as: "admin", calls: [`GET ${DIRECTORY}/instance/development`, `GET ${DIRECTORY}/instance/development/provider-key`] },
  { path: "/admin/instances/development?tab=limits", as: "admin", calls: [`GET ${DIRECTORY}/instance/development`, `GET ${DIRECTORY}/instance/development/limits`] },
  { path: "/admin/instances/development?tab=budgets", as: "admin", calls: [`GET ${DIRECTORY}/instance/development`, `GET ${DIRECTORY}/instance/development/limits`] },
  { path: "/admin/instances/development?tab=projects", as: "admin", calls: [`GET ${DIRECTORY}/instance/development`, `GET ${DIRECTORY}/project`] },
  { path: "/admin/instances/development?tab=deployments", as: "admin", calls: [`GET ${DIRECTORY}/instance/development`, `GET ${DIRECTORY}/instance/development/deployments`] },
  { path: "/admin/instances/development?tab=history", as: "admin", calls: [`GET ${DIRECTORY}/audit`, `GET ${DIRECTORY}/instance/development`] },
  { path: "/admin/instances/development?tab=danger", as: "admin", calls: [`GET ${DIRECTORY}/instance/development`] },
  { path: "/admin/users", as: "admin", calls: [`GET ${DIRECTORY}/user`] },
  { path: "/admin/users", as: "user", calls: [] },
  { path: "/admin/users?tab=access", as: "admin", calls: [`GET ${DIRECTORY}/access`, `GET ${DIRECTORY}/instance`, `GET ${DIRECTORY}/user`] },
  { path: "/admin/users?tab=organizations", as: "superadmin", calls: [`GET ${DIRECTORY}/organization`, `GET ${DIRECTORY}/organization`] },
  { path: "/admin/keys", as: "admin", calls: [`GET ${DIRECTORY}/api-key`, `GET ${DIRECTORY}/project`, `GET ${DIRECTORY}/user`] },
  { path: "/admin/keys", as: "user", calls: [`GET ${DIRECTORY}/api-key`] },
  { path: "/admin/keys?tab=sessions", as: "admin", calls: [`GET ${DIRECTORY}/api-key`, `GET ${DIRECTORY}/project`, `GET ${DIRECTORY}/session/list`, `GET ${DIRECTORY}/user`] },
];

test.for(pages)("$path as $as", async ({ path, as, calls }, { app }) => {
  if (as !== null) await app.signIn(as);
  await app.open(path);
  expect(app.takeCalls().sort()).toEqual([...calls, SHELL].sort());
});
