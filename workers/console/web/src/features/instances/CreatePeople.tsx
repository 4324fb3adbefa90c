import { useQuery } from "@tanstack/react-query";
import { may, useSession } from "../../api/session";
import { Badge, Banner, ErrorState, Facts, Field, MultiSelect, TextInput } from "../../ui";
import type { Assign } from "./assign";
import type { People } from "./create";
import { peopleQuery } from "./queries";

interface PeopleProps {
  /** `null`: the caller's own organization. */
  orgId: string | null;
  people: People;
  onPeople: (people: People) => void;
  emailError: string | undefined;
}

export function PeopleFields({ orgId, people, onPeople, emailError }: PeopleProps) {
  const users = useQuery({ ...peopleQuery(orgId), enabled: may(useSession(), "config:read") }).data ?? [];
  return (
    <div className="grid gap-4 sm:grid-cols-2">
      <Field label="Who may use it" aside="optional" help="Users of the organization. Administrators have every instance.">
        <MultiSelect
          value={[...people.userIds]}
          onValue={(userIds) => onPeople({ ...people, userIds })}
          placeholder={users.length === 0 ? "No user yet" : "Choose users"}
          options={users.map((user) => ({ value: user.user_id, label: user.email }))}
        />
      </Field>
      <Field label="New user" aside="optional" help="Created with access to it. A key is made afterwards, on the page of keys." error={emailError}>
        <TextInput type="email" inputMode="email" value={people.email} onValue={(email) => onPeople({ ...people, email })} placeholder="ada@example.com" />
      </Field>
    </div>
  );
}

/** The addresses of those who were chosen. */
export function usePeopleText(orgId: string | null, people: People): string {
  const users = useQuery({ ...peopleQuery(orgId), enabled: people.userIds.length > 0 }).data ?? [];
  const named = people.userIds.map((id) => users.find((user) => user.user_id === id)?.email ?? id);
  return [...named, ...(people.email.trim() === "" ? [] : [`${people.email.trim()} (new)`])].join(", ");
}

/** The instance exists, and somebody has no access yet: it goes on from there. */
export function PeopleLeft({ instanceName, assign, emailError, ...fields }: PeopleProps & { instanceName: string; assign: Assign }) {
  const { failed, done } = assign;
  const given = usePeopleText(fields.orgId, { userIds: done.filter((who) => !who.includes("@")), email: "" });
  const isNew = done.find((who) => who.includes("@"));
  return (
    <div className="flex flex-col gap-4">
      <Banner tone="good" title={`${instanceName} is created`}>
        Only access is left. Correct it and go on here, or give it later on the page of users.
      </Banner>
      {failed !== null && <ErrorState compact error={failed.error} />}
      {done.length > 0 && (
        <Facts columns={1} facts={[{ name: "Has access", value: <span className="flex flex-wrap gap-1.5">{[given, isNew].filter(Boolean).join(", ").split(", ").map((who) => <Badge key={who} tone="good">{who}</Badge>)}</span> }]} />
      )}
      <PeopleFields {...fields} emailError={emailError} />
    </div>
  );
}
