import { useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { snippets } from "../../api/snippets";
import { useWrite } from "../../api/write";
import { maskedKey } from "../../format/ids";
import { Banner, Button, CodeDisclosure, Dialog, Facts, Field, TextInput, Time, useNow } from "../../ui";
import { FormError } from "./parts";
import type { ApiKey } from "./types";

/** Ends a key for good: its name is typed, a reason goes to the audit log, and the answer says by when it is refused. */
export function RevokeKey({ apiKey: key, onClose }: { apiKey: ApiKey; onClose: () => void }) {
  const offline = useOfflineReason();
  const [reason, setReason] = useState("");
  const [typed, setTyped] = useState("");
  const word = key.name || key.key_id;
  const ready = typed.trim() === word;
  const text = reason.trim();
  const query = text === "" ? {} : { reason: text };
  const revoke = useWrite({
    write: "api-key.revoke",
    send: () => unwrap(configService.DELETE("/api-key/{key_id}", { params: { path: { key_id: key.key_id }, query } })),
  });
  if (revoke.data !== undefined) return <Revoked name={word} answer={revoke.data} onClose={onClose} />;
  return (
    <Dialog
      open
      title={`Revoke “${word}”`}
      onClose={onClose}
      onSubmit={() => revoke.mutate()}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="danger" disabled={!ready} busy={revoke.isPending} reason={offline}>
            Revoke key
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-4">
        <p>
          <code className="text-sm">{maskedKey(key.key_id, key.last4)}</code> and all sessions of it end for good. What uses it is answered 401 from then on. This cannot be undone.
        </p>
        <Field label="Reason" aside="optional" help="Stands in the audit log." error={revoke.error?.fieldError("/reason")}>
          <TextInput value={reason} onValue={setReason} maxLength={200} placeholder="Laptop lost" />
        </Field>
        <Field label={`Type “${word}” to confirm`}>
          <TextInput mono value={typed} onValue={setTyped} />
        </Field>
        <FormError error={revoke.error} fields={[revoke.error?.fieldError("/reason")]} />
        <CodeDisclosure code={snippets({ method: "DELETE", path: `/api/config-service/api-key/${key.key_id}`, query }, location.origin)} />
      </div>
    </Dialog>
  );
}

function Revoked({ name, answer, onClose }: { name: string; answer: { revoked_at: string; effective_by: string }; onClose: () => void }) {
  const now = useNow();
  const done = Date.parse(answer.effective_by) <= now;
  return (
    <Dialog open size="sm" title={`“${name}” revoked`} onClose={onClose} footer={<Button tone="primary" onClick={onClose}>Done</Button>}>
      <div className="flex flex-col gap-4" data-revoked>
        <Facts
          facts={[
            { name: "Revoked at", value: <Time at={answer.revoked_at} /> },
            { name: "Effective by", value: <Time at={answer.effective_by} /> },
          ]}
        />
        <Banner tone={done ? "good" : "info"} title={done ? "No worker accepts it any more" : "Workers that knew it stop within 5 seconds"}>
          Its sessions ended with it.
        </Banner>
      </div>
    </Dialog>
  );
}
