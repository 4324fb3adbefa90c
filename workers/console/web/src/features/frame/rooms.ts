/** The rooms that exist, and who sees them. A room that is built later is added here and nowhere else. */
import { hasRole, type Session } from "../../api/session";
import type { RoomGroup } from "../../ui";

export function roomsOf(session: Session | null): RoomGroup[] {
  const groups: RoomGroup[] = [{ rooms: [{ to: { page: "/play" }, label: "Playground", icon: "magicWand" }] }];
  if (hasRole(session, "admin")) {
    groups.push({
      title: "Admin",
      rooms: [
        { to: { page: "/admin/instances" }, label: "Instances", icon: "cube" },
        { to: { page: "/admin/users" }, label: "Users", icon: "users" },
        { to: { page: "/admin/keys" }, label: "Keys", icon: "key" },
      ],
    });
  } else if (session !== null) {
    groups.push({ title: "Account", rooms: [{ to: { page: "/admin/instances" }, label: "Instances", icon: "cube" }, { to: { page: "/admin/keys" }, label: "Keys", icon: "key" }] });
  }
  groups.push({ title: "Help", rooms: [{ to: { href: "/docs/" }, label: "Docs", icon: "bookOpen" }] });
  return groups;
}
