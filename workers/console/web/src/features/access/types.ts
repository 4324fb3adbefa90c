/** The shapes of the API that these pages show. */
import type { components } from "../../api/generated/config-service";

type Schemas = components["schemas"];
export type User = Schemas["UserLine"];
export type Grant = Schemas["Access"];
export type Instance = Schemas["InstanceSummary"];
export type Organization = Schemas["Organization"];
export type Project = Schemas["ProjectLine"];
export type LiveSession = Schemas["Session"];
export type Scope = NonNullable<Schemas["CreateApiKey"]["scopes"]>[number];
export type KeyState = Schemas["ApiKey"]["state"];
export type Role = User["role"];
/** The document leaves out what the ids are; they are texts. */
export type ApiKey = Omit<Schemas["ApiKey"], "instance_ids"> & { instance_ids: string[] | null };
