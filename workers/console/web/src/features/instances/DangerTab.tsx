import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { configService, unwrap } from "../../api/client";
import type { ApiError } from "../../api/errors";
import { useOfflineReason } from "../../api/connection_hooks";
import { keys } from "../../api/keys";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { plural } from "../../format/bytes";
import { Banner, Button, CodeDisclosure, Confirm, ErrorState, Id, Panel, toast } from "../../ui";
import { at, etag, isRecord } from "./model";
import { PauseButton } from "./PauseButton";
import type { Instance } from "./queries";

export function DangerTab({ instance }: { instance: Instance }) {
  const pausable = instance.status === "active" || instance.status === "paused";
  return (
    <div className="flex flex-col gap-5">
      {pausable && (
        <Panel title={instance.status === "paused" ? "Resume" : "Pause"} actions={<PauseButton instance={instance} />}>
          <p>{instance.status === "paused" ? "It takes new work again within 5 seconds." : "New work is refused, with the reason that you give. What runs goes on, and images stay readable."}</p>
        </Panel>
      )}
      <Delete instance={instance} />
    </div>
  );
}

function Delete({ instance }: { instance: Instance }) {
  const id = instance.instance_id;
  const guarded = at(instance, "/protected") === true;
  const offline = useOfflineReason();
  const [open, setOpen] = useState(false);
  const reason = offline ?? (guarded && instance.status !== "deleting" ? "It is protected." : undefined);
  const back = useWrite({
    write: "instance.status",
    send: () =>
      unwrap(configService.PUT("/instance/{instance_id}/status", { params: { path: { instance_id: id }, header: { "If-Match": etag(instance.version) } }, body: { status: "active" } })),
    onDone: () => toast({ tone: "good", title: `${instance.name} is active again` }),
  });
  return (
    <Panel
      title="Delete instance"
      actions={
        <span className="flex flex-wrap gap-2">
          {instance.status === "deleting" && (
            <Button busy={back.isPending} reason={offline} onClick={() => back.mutate(undefined)}>
              Keep it: make it active
            </Button>
          )}
          <Button tone="danger" icon="trash" reason={reason} onClick={() => setOpen(true)}>
            Delete instance
          </Button>
        </span>
      }
    >
      <div className="flex flex-col gap-3">
        <p>Its configuration, keys, projects and access end. Images that were stored stay in their bucket.</p>
        {guarded && instance.status !== "deleting" && (
          <Banner tone="info" title="This instance is protected">
            An administrator switches “Protected” off on the tab Configuration first.
          </Banner>
        )}
        {back.error !== null && <ErrorState compact error={back.error} />}
        {instance.status === "deleting" && (
          <CodeDisclosure
            code={snippets({ method: "PUT", path: `/api/config-service/instance/${id}/status`, headers: { "If-Match": etag(instance.version) }, body: { status: "active" } }, location.origin)}
          >
            Keeping it, as code
          </CodeDisclosure>
        )}
      </div>
      {open && <DeleteDialog instance={instance} onClose={() => setOpen(false)} />}
    </Panel>
  );
}

function DeleteDialog({ instance, onClose }: { instance: Instance; onClose: () => void }) {
  const id = instance.instance_id;
  const navigate = useNavigate();
  const offline = useOfflineReason();
  const projects = useQuery({
    queryKey: keys.projects({ instance_id: id, limit: 200 }),
    queryFn: ({ signal }) => unwrap(configService.GET("/project", { params: { query: { instance_id: id, limit: 200 } }, signal })),
  });
  // Two calls: a first one that stops new work, a second one that waits until what began before is known, and ends it.
  const stop = useWrite({
    write: "instance.status",
    send: () =>
      unwrap(configService.PUT("/instance/{instance_id}/status", { params: { path: { instance_id: id }, header: { "If-Match": etag(instance.version) } }, body: { status: "deleting" } })),
    onDone: (state) => end.mutate(state.version),
  });
  const end = useWrite({
    write: "instance.delete",
    send: async (version: number) => {
      await unwrap(configService.DELETE("/instance/{instance_id}", { params: { path: { instance_id: id }, header: { "If-Match": etag(version) } } }));
      // Before the lists are old: the page of what is gone must not ask for it again.
      await navigate({ to: "/admin/instances", search: {} });
    },
    onDone: () => toast({ tone: "good", title: `${instance.name} is deleted` }),
  });
  const error = end.error ?? stop.error;
  const path = `/api/config-service/instance/${id}`;
  const headers = { "If-Match": etag(instance.version) };
  const next =
    instance.status === "deleting"
      ? ({ method: "DELETE", path, headers } as const)
      : ({ method: "PUT", path: `${path}/status`, headers, body: { status: "deleting" } } as const);
  const count = projects.data?.items.length;
  const providerKeys = Object.keys(instance.api_keys).length;
  const people = instance.authorized_users.length;
  const lost = [
    count === undefined ? "its projects" : `${plural(count, "project")}${projects.data?.next_cursor ? " and more" : ""} and ${count === 1 ? "its" : "their"} keys`,
    ...(providerKeys === 0 ? [] : [plural(providerKeys, "provider key")]),
    ...(people === 0 ? [] : [`access of ${plural(people, "user")}`]),
    "its configuration, limits, budgets and prices",
  ];
  return (
    <Confirm
      open
      title={`Delete ${instance.name}?`}
      action="Delete instance"
      typed={id}
      busy={stop.isPending || end.isPending}
      reason={offline}
      onClose={onClose}
      onConfirm={() => (instance.status === "deleting" ? end.mutate(instance.version) : stop.mutate(undefined))}
      error={error !== null && <Refused error={error} />}
      code={snippets(next, location.origin)}
    >
      <p>This cannot be undone. It ends:</p>
      <ul className="list-disc pl-5">
        {lost.map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
      <p>Running work is waited for, at least 6 seconds. While any runs, deleting is refused and the instance stays in the status “deleting”.</p>
    </Confirm>
  );
}

function Refused({ error }: { error: ApiError }) {
  const jobs = Array.isArray(error.details["jobs"]) ? (error.details["jobs"] as unknown[]) : [];
  return (
    <div className="flex flex-col gap-2">
      <ErrorState compact error={error} />
      {error.code === "not_empty" && jobs.length > 0 && (
        <ul aria-label="Running jobs" className="flex flex-col gap-1">
          {jobs.map((job) => {
            const name = isRecord(job) ? job["job_id"] ?? job["id"] : job;
            return typeof name === "string" ? <li key={name}><Id id={name} what="job id" full /></li> : null;
          })}
        </ul>
      )}
    </div>
  );
}
