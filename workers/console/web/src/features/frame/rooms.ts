/** The rooms that exist, and who sees them. A room that is built later is added here and nowhere else. */
import { hasRole, type Session } from "../../api/session";
import type { RoomGroup } from "../../ui";

export function roomsOf(session: Session | null): RoomGroup[] {
  const groups: RoomGroup[] = [{ rooms: [{ to: "/play", label: "Playground", icon: "magicWand" }] }];
  if (hasRole(session, "admin")) {
    groups.push({
      title: "Admin",
      rooms: [
        { to: "/admin/instances", label: "Instances", icon: "cube" },
        { to: "/admin/users", label: "Users", icon: "users" },
        { to: "/admin/keys", label: "Keys", icon: "key" },
      ],
    });
  } else if (session !== null) {
    groups.push({ title: "Account", rooms: [{ to: "/admin/instances", label: "Instances", icon: "cube" }, { to: "/admin/keys", label: "Keys", icon: "key" }] });
  }
  return groups;
}
