import { useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { may, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { Banner, Button, CodeDisclosure, Dialog, Facts, Field, Id, RadioGroup, TextInput, Time, toast } from "../../ui";
import { isLastAdmin, LAST_ADMIN, nameFault, ROLE_MEANS, ROLE_WORD, rolesFor, userGuard } from "./model";
import { Overtaken } from "./Overtaken";
import { FormError, useCaller } from "./parts";
import { useActiveAdmins } from "./queries";
import type { Role, User } from "./types";

/** One user; how many keys it has is known to the list only. */
type Single = Omit<User, "keys">;
type Editable = Pick<User, "name" | "role">;
const editable = ({ name, role }: Editable): Editable => ({ name, role });

/** Name and role; the version that was read is kept until somebody else's change is seen and decided about. */
export function EditUser({ user, onClose }: { user: Single; onClose: () => void }) {
  const caller = useCaller();
  const offline = useOfflineReason();
  const writes = may(useSession(), "config:write");
  const [base, setBase] = useState(user);
  const [name, setName] = useState(user.name);
  const [role, setRole] = useState<Role>(user.role);
  const [theirs, setTheirs] = useState<Single | null>(null);
  const admins = useActiveAdmins(base, writes);

  const guard = userGuard(caller, base, "role") ?? (isLastAdmin(base, admins.data) ? LAST_ADMIN : undefined);
  const fault = nameFault(name, false);
  const patch = {
    ...(name.trim() === base.name ? {} : { name: name.trim() === "" ? null : name.trim() }),
    ...(role === base.role ? {} : { role }),
  };
  const save = useWrite({
    write: "user.update",
    send: (body: typeof patch) =>
      unwrap(configService.PATCH("/user/{user_id}", { params: { path: { user_id: base.user_id }, header: { "If-Match": `"${base.version}"` } }, body })),
    onDone: (saved) => {
      toast({ tone: "good", title: `${saved.email} saved`, text: "It holds everywhere within 5 seconds." });
      onClose();
    },
  });
  const submit = () => {
    if (!writes || offline !== undefined || save.isPending || theirs !== null || fault !== undefined) return;
    if (Object.keys(patch).length === 0) {
      onClose();
      return;
    }
    save.mutate(patch, {
      onError: (error) => {
        const current = error.details["current"];
        if (error.code === "version_mismatch" && typeof current === "object" && current !== null) setTheirs({ ...base, ...(current as Partial<Single>) });
      },
    });
  };
  const rebase = (keepMine: boolean) => {
    if (theirs === null) return;
    // Only what was changed here is kept; the rest is theirs already.
    setName(keepMine && name.trim() !== base.name ? name : theirs.name);
    setRole(keepMine && role !== base.role ? role : theirs.role);
    setBase(theirs);
    setTheirs(null);
    save.reset();
  };

  return (
    <Dialog
      open
      title={user.email}
      onClose={onClose}
      onSubmit={submit}
      footer={
        <>
          <Button onClick={onClose}>{writes ? "Cancel" : "Close"}</Button>
          {writes && theirs === null && (
            <Button type="submit" tone="primary" busy={save.isPending} reason={offline}>
              Save
            </Button>
          )}
        </>
      }
    >
      <div className="flex flex-col gap-4">
        <Facts
          facts={[
            { name: "User id", value: <Id id={base.user_id} what="user id" /> },
            { name: "Status", value: base.status === "active" ? "Active" : "Disabled" },
            { name: "Created", value: <Time at={base.created_at} /> },
            { name: "Last seen", value: <Time at={base.last_seen_at} relative /> },
          ]}
        />
        {theirs !== null ? (
          <Overtaken
            what="user"
            base={editable(base)}
            theirs={editable(theirs)}
            mine={editable({ name: name.trim(), role })}
            none="They changed the status only."
            onTheirs={() => rebase(false)}
            onMine={() => rebase(true)}
          />
        ) : (
          <>
            <Field label="Name" error={fault ?? save.error?.fieldError("/name")}>
              <TextInput value={name} onValue={setName} readOnly={!writes} />
            </Field>
            <RadioGroup
              legend="Role"
              name="role"
              value={role}
              onValue={setRole}
              options={rolesFor(caller, base.role).map((value) => ({
                value,
                label: ROLE_WORD[value],
                help: ROLE_MEANS[value],
                disabled: guard !== undefined && value !== base.role,
              }))}
            />
            {guard !== undefined && <Banner title="The role stays as it is">{guard}</Banner>}
            <FormError error={save.error} fields={[save.error?.fieldError("/name")]} />
            {writes && (
              <CodeDisclosure
                code={snippets(
                  { method: "PATCH", path: `/api/config-service/user/${base.user_id}`, headers: { "If-Match": `"${base.version}"` }, body: patch },
                  location.origin,
                )}
              />
            )}
          </>
        )}
      </div>
    </Dialog>
  );
}
