import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { hasRole, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useIdempotencyKey, useWrite } from "../../api/write";
import { emailFault } from "../../format/email";
import { Button, CodeDisclosure, Dialog, Field, focusFirstError, MultiSelect, RadioGroup, Select, TextInput, toast } from "../../ui";
import { nameFault, ROLE_MEANS, ROLE_WORD, rolesFor } from "./model";
import { FormError, useCaller } from "./parts";
import { useAllInstances } from "./queries";
import type { Organization, Role } from "./types";

interface NewUser {
  email: string;
  name?: string;
  role: Role;
  org_id?: string;
  instance_ids?: string[];
}

export function CreateUser({ organizations, onClose }: { organizations: readonly Organization[] | undefined; onClose: () => void }) {
  const session = useSession();
  const caller = useCaller();
  const isSuper = hasRole(session, "superadmin");
  const offline = useOfflineReason();
  const body = useRef<HTMLDivElement>(null);
  const [email, setEmail] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("user");
  const [org, setOrg] = useState<string>();
  const [instances, setInstances] = useState<string[]>([]);
  const [tried, setTried] = useState(false);
  const { keyFor } = useIdempotencyKey();

  const orgId = isSuper && role !== "superadmin" ? (org ?? organizations?.[0]?.org_id) : undefined;
  const known = useAllInstances(orgId, role === "user").data ?? [];
  const user: NewUser = {
    email: email.trim(),
    role,
    ...(name.trim() === "" ? {} : { name: name.trim() }),
    ...(orgId === undefined ? {} : { org_id: orgId }),
    ...(role === "user" && instances.length > 0 ? { instance_ids: instances } : {}),
  };
  const create = useWrite({
    write: "user.create",
    send: (wanted: NewUser) => unwrap(configService.POST("/user", { body: wanted, headers: { "Idempotency-Key": keyFor(wanted) } })),
    onDone: (made) => {
      toast({ tone: "good", title: `${made.email} created`, text: "Create a key so that this person can sign in." });
      onClose();
    },
  });
  const taken = create.error?.code === "conflict" ? create.error.message : undefined;
  const errors = {
    email: (tried ? emailFault(email) : undefined) ?? create.error?.fieldError("/email") ?? taken,
    name: (tried ? nameFault(name, false) : undefined) ?? create.error?.fieldError("/name"),
    instances: create.error?.fieldError("/instance_ids"),
  };
  const submit = () => {
    setTried(true);
    if (emailFault(email) !== undefined || nameFault(name, false) !== undefined) focusFirstError(body.current);
    else create.mutate(user, { onError: () => focusFirstError(body.current) });
  };

  return (
    <Dialog
      open
      persistent={email !== "" || name !== "" || instances.length > 0}
      title="Create user"
      description="The user gets no key yet: you create one afterwards."
      onClose={onClose}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary" busy={create.isPending} reason={offline}>
            Create user
          </Button>
        </>
      }
    >
      <div ref={body} className="flex flex-col gap-4">
        <Field label="Email" required error={errors.email}>
          <TextInput type="email" inputMode="email" value={email} onValue={setEmail} placeholder="ada@example.com" />
        </Field>
        <Field label="Name" aside="optional" error={errors.name}>
          <TextInput value={name} onValue={setName} />
        </Field>
        <RadioGroup
          legend="Role"
          name="role"
          value={role}
          onValue={setRole}
          options={rolesFor(caller).map((value) => ({ value, label: ROLE_WORD[value], help: ROLE_MEANS[value] }))}
        />
        {isSuper && role !== "superadmin" && (
          <Field label="Organization" required>
            <Select
              value={orgId ?? ""}
              onValue={(id) => {
                setOrg(id);
                setInstances([]);
              }}
              options={(organizations ?? []).map((one) => ({ value: one.org_id, label: one.name }))}
            />
          </Field>
        )}
        {role === "user" && (
          <Field label="Instances" aside="optional" help="What the user may use. It can be changed at any time." error={errors.instances}>
            <MultiSelect
              value={instances}
              onValue={setInstances}
              placeholder="Choose instances"
              options={known.map((one) => ({ value: one.instance_id, label: one.instance_id }))}
            />
          </Field>
        )}
        <FormError error={create.error} fields={Object.values(errors)} />
        <CodeDisclosure code={snippets({ method: "POST", path: "/api/config-service/user", body: user }, location.origin)} />
      </div>
    </Dialog>
  );
}
