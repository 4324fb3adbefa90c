import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { parseMoney } from "../../format/money";
import { Button, CodeDisclosure, Confirm, Dialog, equal, ErrorState, Field, focusFirstError, RadioGroup, Select, TextInput, toast } from "../../ui";
import { Conflict, type Versions } from "./Conflict";
import { type Budget, budgetList, budgetMap, type Doc, etag, isRecord, scopeProblem, versionOf } from "./model";

interface BudgetDialogProps {
  instanceId: string;
  budgets: readonly Budget[];
  version: number;
  /** `null`: a new one. */
  edited: Budget | null;
  onClose: () => void;
}

/** The list is saved as a whole; what others changed meanwhile is kept, or shown when it is the same budget. */
function useBudgets({ instanceId, budgets, version, onClose }: BudgetDialogProps) {
  const [base] = useState(() => ({ doc: budgetMap(budgets), version }));
  const [versions, setVersions] = useState<Versions | null>(null);
  const save = useWrite({
    write: "instance.budgets",
    send: (input: { doc: Doc; version: number }) =>
      unwrap(
        configService.PUT("/instance/{instance_id}/budgets", {
          params: { path: { instance_id: instanceId }, header: { "If-Match": etag(input.version) } },
          body: budgetList(input.doc),
        }),
      ),
    onDone: () => {
      toast({ tone: "good", title: "Budgets saved" });
      onClose();
    },
  });
  const send = (doc: Doc, on: number) =>
    save.mutate(
      { doc, version: on },
      {
        onError: (error) => {
          const current = error.details["current"];
          const found = versionOf(error.details);
          if (error.status !== 412 || !isRecord(current) || found === undefined || !Array.isArray(current["budgets"])) return;
          const theirs = budgetMap(current["budgets"]);
          // Another member of the instance was changed, no budget: nothing to decide. The refused write did nothing, so this
          // is the same one on the version that it is for, not a repetition.
          if (equal(theirs, base.doc)) send(doc, found);
          else setVersions({ base: base.doc, theirs, mine: doc, version: found });
        },
      },
    );
  const conflict = versions !== null && (
    <Conflict
      key={versions.version}
      versions={versions}
      what="list of budgets"
      busy={save.isPending}
      error={save.error}
      onApply={send}
      onTakeTheirs={onClose}
      onClose={() => setVersions(null)}
    />
  );
  return { base, save, send, conflict };
}

function budgetCode(instanceId: string, version: number, doc: Doc) {
  const path = `/api/config-service/instance/${instanceId}/budgets`;
  return snippets({ method: "PUT", path, headers: { "If-Match": etag(version) }, body: budgetList(doc) }, location.origin);
}

type Kind = "instance" | "provider" | "project" | "key";

export function BudgetDialog(props: BudgetDialogProps) {
  const { instanceId, edited, onClose } = props;
  const { base, save, send, conflict } = useBudgets(props);
  const offline = useOfflineReason();
  const [kind, setKind] = useState<Kind>((edited?.scope.split(":")[0] as Kind | undefined) ?? "instance");
  const [target, setTarget] = useState(edited?.scope.split(":").slice(1).join(":") ?? "");
  const [period, setPeriod] = useState<Budget["period"]>(edited?.period ?? "month");
  const [amount, setAmount] = useState(edited === null ? "" : String(edited.limit_usd_micros / 1_000_000));
  const [tried, setTried] = useState(false);
  const area = useRef<HTMLDivElement>(null);

  const scope = kind === "instance" ? "instance" : `${kind}:${target.trim()}`;
  const name = `${scope} per ${period}`;
  const micros = parseMoney(amount);
  const taken = name in base.doc && (edited === null || name !== `${edited.scope} per ${edited.period}`);
  const scopeError = scopeProblem(scope) ?? (taken ? "There is a budget for this and the period already: edit that one." : undefined);
  const amountError = micros === null || micros < 1 || micros > 10_000_000_000_000 ? "Enter an amount in dollars, such as 50.00, up to 10,000,000." : undefined;
  const replaced = edited === null ? null : `${edited.scope} per ${edited.period}`;
  const others = Object.fromEntries(Object.entries(base.doc).filter(([other]) => other !== replaced));
  const mine: Doc = { ...others, [name]: micros ?? 0 };
  const server = save.error?.fieldError("/budgets");

  const [began] = useState({ kind, target, period, amount });

  if (conflict !== false) return conflict;
  return (
    <Dialog
      open
      persistent={kind !== began.kind || target !== began.target || period !== began.period || amount !== began.amount}
      title={edited === null ? "Add budget" : "Edit budget"}
      onClose={onClose}
      onSubmit={() => {
        setTried(true);
        if (scopeError !== undefined || amountError !== undefined) focusFirstError(area.current);
        else send(mine, base.version);
      }}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary" busy={save.isPending} reason={offline}>
            Save budget
          </Button>
        </>
      }
    >
      <div ref={area} className="flex flex-col gap-4">
        <Field label="Applies to" error={tried && kind === "instance" ? scopeError : undefined}>
          <Select
            value={kind}
            onValue={setKind}
            options={[
              { value: "instance", label: "The whole instance" },
              { value: "provider", label: "A provider" },
              { value: "project", label: "A project" },
              { value: "key", label: "An API key" },
            ]}
          />
        </Field>
        {kind !== "instance" && (
          <Field label={kind === "provider" ? "Name of the provider" : kind === "project" ? "Id of the project" : "Id of the key"} required error={(tried ? scopeError : undefined) ?? server}>
            <TextInput mono value={target} onValue={setTarget} />
          </Field>
        )}
        <RadioGroup
          legend="Period"
          name="budget-period"
          segmented
          value={period}
          onValue={setPeriod}
          options={[{ value: "day", label: "Day" }, { value: "month", label: "Month" }]}
        />
        <Field label="Limit" required help="In dollars." error={(tried ? amountError : undefined) ?? (kind === "instance" ? server : undefined)}>
          <TextInput inputMode="decimal" value={amount} onValue={setAmount} placeholder="50.00" />
        </Field>
        {save.error !== null && save.error.status !== 412 && <ErrorState compact error={save.error} />}
        <CodeDisclosure code={budgetCode(instanceId, base.version, mine)} />
      </div>
    </Dialog>
  );
}

export function RemoveBudget(props: BudgetDialogProps & { edited: Budget }) {
  const { edited, onClose } = props;
  const { base, save, send, conflict } = useBudgets(props);
  const offline = useOfflineReason();
  const name = `${edited.scope} per ${edited.period}`;
  const left = Object.fromEntries(Object.entries(base.doc).filter(([other]) => other !== name));
  if (conflict !== false) return conflict;
  return (
    <Confirm
      open
      title="Remove this budget?"
      action="Remove budget"
      busy={save.isPending}
      reason={offline}
      onClose={onClose}
      onConfirm={() => send(left, base.version)}
      error={save.error !== null && <ErrorState compact error={save.error} />}
      code={budgetCode(props.instanceId, base.version, left)}
    >
      <p>Spending of {edited.scope} in a {edited.period} has no ceiling from then on, unless another budget covers it.</p>
    </Confirm>
  );
}
