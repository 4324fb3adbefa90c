import { Link } from "@tanstack/react-router";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { type Session, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { Banner, Button, CodeDisclosure, ErrorState, toast } from "../../ui";
import { activation, etag } from "./model";
import type { Instance } from "./queries";

/** A new instance takes no work before somebody says so: what it still needs, and the action where the API takes it. */
export function Deploying({ instance, canWrite }: { instance: Instance; canWrite: boolean }) {
  const id = instance.instance_id;
  const session = useSession();
  const offline = useOfflineReason();
  const body = { status: "active" as const };
  const activate = useWrite({
    write: "instance.status",
    send: () =>
      unwrap(configService.PUT("/instance/{instance_id}/status", { params: { path: { instance_id: id }, header: { "If-Match": etag(instance.version) } }, body })),
    onDone: () => toast({ tone: "good", title: `${instance.name} is active`, text: "It takes work now." }),
  });
  const needs = activation(instance, isLocal(session));
  const headers = { "If-Match": etag(instance.version) };
  const path = `/api/config-service/instance/${id}`;
  const code = needs.possible
    ? snippets({ method: "PUT", path: `${path}/status`, headers, body }, location.origin)
    : snippets({ method: "PUT", path: `${path}/worker-urls`, headers, body: { image_gen: `https://image-gen-${id}.ACCOUNT.workers.dev` } }, location.origin);
  return (
    <div className="flex flex-col gap-3">
      <Banner
        tone="info"
        title="Not active yet: it takes no work"
        action={
          canWrite &&
          needs.possible && (
            <Button size="sm" tone="primary" icon="play" busy={activate.isPending} reason={offline} onClick={() => activate.mutate(undefined)}>
              Activate
            </Button>
          )
        }
      >
        <div className="flex flex-col items-start gap-1">
          <p>
            {needs.possible
              ? canWrite
                ? "Activate it, and it takes work at once."
                : "An administrator with the scope “config:write” activates it."
              : "The addresses of its workers are missing. Deploy them, register their addresses as the code below does, then activate it here."}
          </p>
          {canWrite && !needs.hasKey && (
            <p>
              It has no provider key yet, so it can make no picture:{" "}
              <Link to="/admin/instances/$id" params={{ id }} search={{ tab: "keys" }} className="text-link underline underline-offset-2">
                set one
              </Link>
              .
            </p>
          )}
          {canWrite && (
            <div className="-ml-2.5 w-full">
              <CodeDisclosure code={code} />
            </div>
          )}
        </div>
      </Banner>
      {activate.error !== null && <ErrorState compact error={activate.error} />}
    </div>
  );
}

/** Where one program plays all workers, none of an instance's own has to be deployed: config-service knows it by the same words. */
function isLocal(session: Session | null): boolean {
  return session?.environment === "local" || session?.environment === "test";
}
