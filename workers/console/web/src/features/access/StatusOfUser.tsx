import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { plural } from "../../format/bytes";
import { Banner, Button, CodeDisclosure, Dialog, toast } from "../../ui";
import { isLastAdmin, LAST_ADMIN } from "./model";
import { FormError } from "./parts";
import { useActiveAdmins } from "./queries";
import type { User } from "./types";

/** Disables or enables a user; both can be undone by the other. */
export function StatusOfUser({ user, onClose }: { user: User; onClose: () => void }) {
  const offline = useOfflineReason();
  const disable = user.status === "active";
  const admins = useActiveAdmins(user, disable);
  const last = isLastAdmin(user, admins.data) ? LAST_ADMIN : undefined;
  const body = { status: disable ? ("disabled" as const) : ("active" as const) };
  const change = useWrite({
    write: "user.update",
    send: () =>
      unwrap(
        configService.PATCH("/user/{user_id}", {
          params: { path: { user_id: user.user_id }, header: { "If-Match": `"${user.version}"` } },
          body,
        }),
      ),
    onDone: () => {
      toast({ tone: "good", title: `${user.email} ${disable ? "disabled" : "enabled"}`, text: "It holds everywhere within 5 seconds." });
      onClose();
    },
  });
  return (
    <Dialog
      open
      size="sm"
      title={disable ? "Disable user" : "Enable user"}
      onClose={onClose}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button tone={disable ? "danger" : "primary"} busy={change.isPending} reason={last ?? offline} onClick={() => change.mutate()}>
            {disable ? "Disable" : "Enable"}
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-3">
        <p className="break-words">
          <strong>{user.email}</strong>{" "}
          {disable
            ? `cannot sign in any more, and ${plural(user.keys, "working key")} and all sessions are refused. Nothing is deleted: enabling the user brings keys and access back.`
            : "can sign in again, and the keys that did not end meanwhile work again."}
        </p>
        {last !== undefined && (
          <Banner tone="warn" title="This user cannot be disabled">
            {last}
          </Banner>
        )}
        <FormError error={change.error} />
        <CodeDisclosure
          code={snippets({ method: "PATCH", path: `/api/config-service/user/${user.user_id}`, headers: { "If-Match": `"${user.version}"` }, body }, location.origin)}
        />
      </div>
    </Dialog>
  );
}
