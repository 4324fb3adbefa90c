import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { keys } from "../../api/keys";
import { useCursorList } from "../../api/pages";
import { snippets } from "../../api/snippets";
import { useIdempotencyKey, useWrite } from "../../api/write";
import { emailFault } from "../../format/email";
import { Badge, Button, CodeBlock, CodeDisclosure, type Column, Confirm, DataTable, Dialog, EmptyState, Field, focusFirstError, Id, Panel, TextInput, Time, toast } from "../../ui";
import { nameFault } from "./model";
import { Overtaken } from "./Overtaken";
import { FormError } from "./parts";
import { REFRESH_MS } from "./queries";
import type { Organization } from "./types";

const columns: readonly Column<Organization>[] = [
  { id: "name", header: "Name", main: true, value: (one) => one.name, cell: (one) => one.name },
  {
    id: "status",
    header: "Status",
    value: (one) => one.status,
    cell: (one) => (
      <Badge tone={one.status === "active" ? "good" : "bad"} dot>
        {one.status === "active" ? "Active" : "Suspended"}
      </Badge>
    ),
  },
  { id: "billing", header: "Billing email", value: (one) => one.billing_email, cell: (one) => one.billing_email },
  { id: "created", header: "Created", value: (one) => one.created_at, cell: (one) => <Time at={one.created_at} /> },
  { id: "org_id", header: "Organization id", value: (one) => one.org_id, cell: (one) => <Id id={one.org_id} what="organization id" /> },
];

/** For superadmins. */
export function OrganizationsTab() {
  const [open, setOpen] = useState<{ what: "edit" | "status" | "delete"; of: Organization } | null>(null);
  const list = useCursorList({
    queryKey: keys.organizations(),
    fetchPage: (cursor, signal) => unwrap(configService.GET("/organization", { params: { query: cursor === undefined ? {} : { cursor } }, signal })),
    refetchInterval: REFRESH_MS,
  });
  const close = () => setOpen(null);
  return (
    <Panel flush>
      <DataTable
        caption="Organizations"
        columns={columns}
        list={list}
        rowId={(one) => one.org_id}
        rowName={(one) => one.name}
        onOpen={(of) => setOpen({ what: "edit", of })}
        actions={(of) => [
          { label: "Edit", icon: "pencil", onSelect: () => setOpen({ what: "edit", of }) },
          {
            label: of.status === "active" ? "Suspend" : "Activate",
            icon: of.status === "active" ? "prohibit" : "play",
            onSelect: () => setOpen({ what: "status", of }),
          },
          { label: "Delete", icon: "trash", danger: true, onSelect: () => setOpen({ what: "delete", of }) },
        ]}
        empty={
          <EmptyState
            icon="stack"
            title="No organizations yet"
            code={<CodeBlock what="curl" code={snippets({ method: "POST", path: "/api/config-service/organization", body: { name: "Acme Corp.", billing_email: "billing@acme.example" } }, location.origin).curl} />}
          >
            Instances and users belong to an organization, and see nothing of another.
          </EmptyState>
        }
      />
      {open?.what === "edit" && <EditOrganization of={open.of} onClose={close} />}
      {open?.what === "status" && <StatusOfOrganization of={open.of} onClose={close} />}
      {open?.what === "delete" && <DeleteOrganization of={open.of} onClose={close} />}
    </Panel>
  );
}

interface Fields {
  name: string;
  billing_email: string;
}

export function CreateOrganization({ onClose }: { onClose: () => void }) {
  const { keyFor } = useIdempotencyKey();
  const create = useWrite({
    write: "organization.change",
    send: (body: Fields) => unwrap(configService.POST("/organization", { body, headers: { "Idempotency-Key": keyFor(body) } })),
    onDone: (made) => {
      toast({ tone: "good", title: `${made.name} created` });
      onClose();
    },
  });
  return <OrganizationForm title="Create organization" action="Create organization" write={create} onClose={onClose} request={{ method: "POST", path: "/api/config-service/organization" }} />;
}

function EditOrganization({ of: opened, onClose }: { of: Organization; onClose: () => void }) {
  const [of, setOf] = useState(opened);
  const save = useWrite({
    write: "organization.change",
    send: (body: Fields) =>
      unwrap(configService.PATCH("/organization/{org_id}", { params: { path: { org_id: of.org_id }, header: { "If-Match": `"${of.version}"` } }, body })),
    onDone: (saved) => {
      toast({ tone: "good", title: `${saved.name} saved` });
      onClose();
    },
  });
  const request = { method: "PATCH", path: pathOf(of), headers: { "If-Match": `"${of.version}"` } } as const;
  return <OrganizationForm title={of.name} action="Save" start={of} write={save} onClose={onClose} request={request} onTheirs={(theirs) => setOf({ ...of, ...theirs })} />;
}

interface OrganizationFormProps {
  title: string;
  action: string;
  start?: Fields;
  write: ReturnType<typeof useWrite<Fields, Organization>>;
  request: { method: "POST" | "PATCH"; path: string; headers?: Record<string, string> };
  onClose: () => void;
  /** Somebody saved first, and the choice is made: what stands there now is what is edited. */
  onTheirs?: (theirs: Partial<Organization> & Fields) => void;
}

const pathOf = (of: Organization) => `/api/config-service/organization/${of.org_id}`;
const fieldsOf = ({ name, billing_email }: Fields): Fields => ({ name, billing_email });

function OrganizationForm({ title, action, start, write, request, onClose, onTheirs }: OrganizationFormProps) {
  const offline = useOfflineReason();
  const box = useRef<HTMLDivElement>(null);
  const [name, setName] = useState(start?.name ?? "");
  const [email, setEmail] = useState(start?.billing_email ?? "");
  const [tried, setTried] = useState(false);
  const [theirs, setTheirs] = useState<(Partial<Organization> & Fields) | null>(null);
  const body = { name: name.trim(), billing_email: email.trim() };
  const errors = {
    name: (tried ? nameFault(name, true) : undefined) ?? write.error?.fieldError("/name"),
    email: (tried ? emailFault(email) : undefined) ?? write.error?.fieldError("/billing_email"),
  };
  const submit = () => {
    setTried(true);
    if ((nameFault(name, true) ?? emailFault(email)) !== undefined) {
      focusFirstError(box.current);
      return;
    }
    write.mutate(body, {
      onError: (refused) => {
        const current = refused.details["current"];
        if (start !== undefined && refused.code === "version_mismatch" && typeof current === "object" && current !== null) {
          setTheirs({ ...fieldsOf(start), ...(current as Partial<Organization>) });
        }
      },
    });
  };
  const rebase = (keepMine: boolean) => {
    if (start === undefined || theirs === null) return;
    setName(keepMine && body.name !== start.name ? body.name : theirs.name);
    setEmail(keepMine && body.billing_email !== start.billing_email ? body.billing_email : theirs.billing_email);
    onTheirs?.(theirs);
    setTheirs(null);
    write.reset();
  };

  if (start !== undefined && theirs !== null) {
    return (
      <Dialog open title={title} onClose={onClose} footer={<Button onClick={onClose}>Cancel</Button>}>
        <Overtaken
          what="organization"
          base={fieldsOf(start)}
          theirs={fieldsOf(theirs)}
          mine={body}
          none="They changed the status only."
          onTheirs={() => rebase(false)}
          onMine={() => rebase(true)}
        />
      </Dialog>
    );
  }
  return (
    <Dialog
      open
      size="sm"
      title={title}
      onClose={onClose}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary" busy={write.isPending} reason={offline}>
            {action}
          </Button>
        </>
      }
    >
      <div ref={box} className="flex flex-col gap-4">
        <Field label="Name" required error={errors.name}>
          <TextInput value={name} onValue={setName} />
        </Field>
        <Field label="Billing email" required error={errors.email}>
          <TextInput type="email" value={email} onValue={setEmail} />
        </Field>
        <FormError error={write.error} fields={Object.values(errors)} />
        <CodeDisclosure code={snippets({ ...request, body }, location.origin)} />
      </div>
    </Dialog>
  );
}

function StatusOfOrganization({ of, onClose }: { of: Organization; onClose: () => void }) {
  const suspend = of.status === "active";
  const offline = useOfflineReason();
  const change = useWrite({
    write: "organization.change",
    send: () =>
      unwrap(
        configService.PATCH("/organization/{org_id}", {
          params: { path: { org_id: of.org_id }, header: { "If-Match": `"${of.version}"` } },
          body: { status: suspend ? "suspended" : "active" },
        }),
      ),
    onDone: () => {
      toast({ tone: "good", title: `${of.name} ${suspend ? "suspended" : "activated"}` });
      onClose();
    },
  });
  return (
    <Confirm
      open
      title={suspend ? "Suspend organization" : "Activate organization"}
      action={suspend ? "Suspend" : "Activate"}
      tone={suspend ? "danger" : "primary"}
      busy={change.isPending}
      reason={offline}
      onClose={onClose}
      onConfirm={() => change.mutate()}
      error={<FormError error={change.error} />}
      code={snippets({ method: "PATCH", path: pathOf(of), headers: { "If-Match": `"${of.version}"` }, body: { status: suspend ? "suspended" : "active" } }, location.origin)}
    >
      <p>{suspend ? `All keys and sessions of ${of.name} are refused until it is activated again. Nothing is deleted.` : `Keys of ${of.name} that did not end meanwhile work again.`}</p>
    </Confirm>
  );
}

function DeleteOrganization({ of, onClose }: { of: Organization; onClose: () => void }) {
  const offline = useOfflineReason();
  const remove = useWrite({
    write: "organization.change",
    send: () => unwrap(configService.DELETE("/organization/{org_id}", { params: { path: { org_id: of.org_id }, header: { "If-Match": `"${of.version}"` } } })),
    onDone: () => {
      toast({ tone: "good", title: `${of.name} deleted` });
      onClose();
    },
  });
  return (
    <Confirm
      open
      title="Delete organization"
      action="Delete organization"
      typed={of.name}
      busy={remove.isPending}
      reason={offline}
      onClose={onClose}
      onConfirm={() => remove.mutate()}
      error={<FormError error={remove.error} />}
      code={snippets({ method: "DELETE", path: pathOf(of), headers: { "If-Match": `"${of.version}"` } }, location.origin)}
    >
      <p>It is deleted only when it has no instances and no users; otherwise it stays and you are told what is left.</p>
    </Confirm>
  );
}
