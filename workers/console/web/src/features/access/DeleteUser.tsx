import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { plural } from "../../format/bytes";
import { Banner, Button, Confirm, Dialog, toast } from "../../ui";
import { isLastAdmin, LAST_ADMIN } from "./model";
import { FormError } from "./parts";
import { useActiveAdmins } from "./queries";
import type { User } from "./types";

export function DeleteUser({ user, onClose }: { user: User; onClose: () => void }) {
  const offline = useOfflineReason();
  const admins = useActiveAdmins(user, true);
  const remove = useWrite({
    write: "user.delete",
    send: () =>
      unwrap(configService.DELETE("/user/{user_id}", { params: { path: { user_id: user.user_id }, header: { "If-Match": `"${user.version}"` } } })),
    onDone: () => {
      toast({ tone: "good", title: `${user.email} deleted`, text: "Keys and sessions are refused everywhere within 5 seconds." });
      onClose();
    },
  });
  if (isLastAdmin(user, admins.data)) {
    return (
      <Dialog open size="sm" title="Delete user" onClose={onClose} footer={<Button onClick={onClose}>Close</Button>}>
        <Banner tone="warn" title="This user cannot be deleted now">
          {LAST_ADMIN}
        </Banner>
      </Dialog>
    );
  }
  return (
    <Confirm
      open
      title="Delete user"
      action="Delete user"
      typed={user.email}
      busy={remove.isPending}
      reason={offline}
      onClose={onClose}
      onConfirm={() => remove.mutate()}
      error={<FormError error={remove.error} />}
      code={snippets({ method: "DELETE", path: `/api/config-service/user/${user.user_id}`, headers: { "If-Match": `"${user.version}"` } }, location.origin)}
    >
      <p>
        The user, {plural(user.keys, "working key")}, all sessions and access to {plural(user.instances.length, "instance")} are gone for good. Images and
        audit entries stay. The email may be used again.
      </p>
    </Confirm>
  );
}
