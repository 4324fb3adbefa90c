import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { may, useSession } from "../../api/session";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { plural } from "../../format/bytes";
import { localTime } from "../../format/time";
import { announce, Badge, Button, Checkbox, CodeDisclosure, toast } from "../../ui";
import { accessChange, type Toggles, toggled, withToggles } from "./model";
import { FormError } from "./parts";
import { accessOf } from "./queries";
import type { Grant, Instance, User } from "./types";

interface AccessRowProps {
  user: User;
  instances: readonly Instance[];
  standing: ReadonlySet<string>;
  grants: readonly Grant[];
  toggles: Toggles;
  onToggles: (toggles: Toggles) => void;
  row: number;
  /** The column of the cell that Tab reaches, when it is in this row. */
  activeColumn: number | null;
  onFocus: (column: number) => void;
  onMove: (column: number, key: string) => boolean;
}

export function AccessRow({ user, instances, standing, grants, toggles, onToggles, row, activeColumn, onFocus, onMove }: AccessRowProps) {
  const offline = useOfflineReason();
  const writes = may(useSession(), "config:write");
  const shown = withToggles(standing, toggles);
  const change = accessChange(standing, shown);
  const changes = change.added.length + change.removed.length;
  const save = useWrite({
    write: "access.replace",
    send: async (wanted: Toggles) => {
      // The set is replaced as a whole and has no version: read again, so that what others gave since is not taken back.
      const instance_ids = [...withToggles(await accessOf(user.user_id), wanted)];
      return unwrap(configService.PUT("/user/{user_id}/instance", { params: { path: { user_id: user.user_id } }, body: { instance_ids } }));
    },
    onDone: ({ added, removed }) => {
      onToggles(new Map());
      toast({ tone: "good", title: `Access of ${user.email} saved`, text: `${plural(added.length, "instance")} given, ${removed.length} taken away. It holds everywhere within 5 seconds.` });
    },
  });
  const cell = "border-b border-line";
  return (
    <>
      <tr className={changes > 0 ? "bg-selected" : undefined}>
        <th scope="row" className={`sticky left-0 z-1 ${cell} ${changes > 0 ? "bg-selected" : "bg-surface"} ${changes > 0 ? "border-b-transparent" : ""} max-w-36 px-3 py-2 font-medium sm:max-w-80 sm:px-5`}>
          <span className="block truncate" title={user.email}>
            {user.email}
          </span>
          {user.status === "disabled" && <Badge tone="bad">Disabled</Badge>}
        </th>
        {instances.map((instance, column) => {
          const id = instance.instance_id;
          const checked = shown.has(id);
          const changed = checked !== standing.has(id);
          const grant = grants.find((one) => one.user_id === user.user_id && one.instance_id === id);
          return (
            <td key={id} role="gridcell" className={`${cell} px-2 text-center sm:px-3`}>
              <span className="relative inline-flex size-6 items-center justify-center" title={grant === undefined ? undefined : `Given by ${grant.granted_by}, ${localTime(grant.created_at)}`}>
                <Checkbox
                  hideLabel
                  className="justify-center gap-0"
                  label={`${user.email} may use ${instance.name}${changed ? " (not saved)" : ""}`}
                  checked={checked}
                  disabled={!writes}
                  data-cell={`${row}:${column}`}
                  tabIndex={activeColumn === column ? 0 : -1}
                  onFocus={() => onFocus(column)}
                  onKeyDown={(event) => {
                    if (onMove(column, event.key)) event.preventDefault();
                  }}
                  onChecked={(on) => onToggles(toggled(toggles, standing, id, on))}
                />
              </span>
            </td>
          );
        })}
      </tr>
      {changes > 0 && (
        <tr className="bg-selected">
          <td role="gridcell" colSpan={instances.length + 1} className={cell}>
            <div className="sticky left-0 inline-flex flex-wrap items-center gap-2 px-3 pb-2 sm:px-5">
              <Button size="sm" tone="primary" busy={save.isPending} reason={offline} onClick={() => save.mutate(toggles)} aria-label={`Save access of ${user.email}`}>
                Save
              </Button>
              <Button
                size="sm"
                tone="ghost"
                onClick={() => {
                  onToggles(new Map());
                  save.reset();
                  announce(`Access of ${user.email} is as it was`);
                }}
              >
                Undo
              </Button>
              <span className="text-sm text-muted">
                {change.added.length} to give, {change.removed.length} to take away
              </span>
              <CodeDisclosure code={snippets({ method: "PUT", path: `/api/config-service/user/${user.user_id}/instance`, body: { instance_ids: [...shown] } }, location.origin)} />
            </div>
          </td>
        </tr>
      )}
      {save.error !== null && (
        <tr>
          <td role="gridcell" colSpan={instances.length + 1} className={`${cell} p-3`}>
            <FormError error={save.error} />
          </td>
        </tr>
      )}
    </>
  );
}
