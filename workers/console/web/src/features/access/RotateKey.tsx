import { useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { snippets } from "../../api/snippets";
import { useIdempotencyKey, useWrite } from "../../api/write";
import { Banner, Button, Checkbox, CodeDisclosure, Dialog, Facts, Field, Select, Time, useNow } from "../../ui";
import { OVERLAPS, rotationPlan } from "./model";
import { FormError, useCaller } from "./parts";
import type { NewSecret } from "./ShowKey";
import type { ApiKey } from "./types";

interface RotateKeyProps {
  apiKey: ApiKey;
  onClose: () => void;
  onSecret: (secret: NewSecret) => void;
}

/** A new secret for the same key. Says before the click what happens to the old one. */
export function RotateKey({ apiKey: key, onClose, onSecret }: RotateKeyProps) {
  const offline = useOfflineReason();
  const caller = useCaller();
  const now = useNow(10_000);
  const [overlap, setOverlap] = useState<string>("86400");
  const [force, setForce] = useState(false);
  const { keyFor } = useIdempotencyKey();
  const body = { overlap_s: Number(overlap), force };
  const rotate = useWrite({
    write: "api-key.update",
    send: async (wanted: typeof body) => {
      const call = configService.POST("/api-key/{key_id}/rotate", {
        params: { path: { key_id: key.key_id } },
        body: wanted,
        headers: { "Idempotency-Key": keyFor(wanted) },
      });
      const { api_key, ...made } = await unwrap(call);
      // Handed over here, so that the write's own memory never holds it.
      onSecret({ kind: "rotated", apiKey: api_key, keyId: key.key_id, name: key.name, expiresAt: key.expires_at, oldEndsAt: made.previous_expires_at });
      onClose();
      return made;
    },
  });
  // The list may be older than what the server refused for.
  const refused = rotate.error?.code === "rotation_in_progress";
  const told = rotate.error?.details["previous_expires_at"];
  const plan = rotationPlan(refused && typeof told === "string" ? { ...key, prev_expires_at: told, secret_first_used_at: key.secret_first_used_at ?? told } : key, body.overlap_s, force, now);
  const blocked = plan.kind === "in_progress" ? "A rotation is in progress. Wait until the old secret ends, or end it now." : undefined;
  const showsForce = plan.kind === "in_progress" || force;

  return (
    <Dialog
      open
      title={`Rotate “${key.name}”`}
      description="The key keeps its id, scopes and usage, and gets a new secret, which is shown once."
      onClose={onClose}
      onSubmit={() => rotate.mutate(body)}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary" busy={rotate.isPending} reason={blocked ?? offline}>
            Rotate key
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-4">
        {plan.kind === "replace_unused" ? (
          <Banner tone="warn" title="The secret of the last rotation was never used">
            Rotating again replaces it: whoever has it, cannot use it any more. The secret before it keeps its end.
          </Banner>
        ) : (
          <Field label="Old secret works on for" help="Time to put the new one in place everywhere. For a leaked secret choose none.">
            <Select value={overlap} onValue={setOverlap} options={OVERLAPS} />
          </Field>
        )}
        {showsForce && (
          <div className="flex flex-col gap-3">
            <Banner tone="warn" title="A rotation is in progress">
              The new secret is in use, and the one before it still works until <Time at={plan.kind === "in_progress" ? plan.oldEndsAt : key.prev_expires_at} />. Wait for that, or
              go on now: then the oldest secret ends at once.
            </Banner>
            <Checkbox checked={force} onChecked={setForce} label="End the oldest secret now and rotate" />
          </div>
        )}
        <div data-deadlines>
          <Facts
            facts={[
              {
                name: plan.kind === "in_progress" ? "Oldest secret works until" : "Old secret will work until",
                value: plan.oldEndsAt === null || Date.parse(plan.oldEndsAt) <= now ? "It ends now" : <Time at={plan.oldEndsAt} />,
              },
              { name: "New secret will work until", value: plan.newEndsAt === null ? "The key is revoked" : <Time at={plan.newEndsAt} /> },
            ]}
          />
        </div>
        {key.key_id === caller.keyId && <Banner title="This session acts as this key">You stay signed in; sessions do not end by a rotation.</Banner>}
        {rotate.error?.code === "secret_already_shown" ? (
          <Banner tone="warn" title="This rotation happened, and its secret was shown already">
            The answer was lost on its way. Close this and rotate once more: as long as the new secret was not used, it is replaced.
          </Banner>
        ) : (
          !refused && <FormError error={rotate.error} />
        )}
        <CodeDisclosure code={snippets({ method: "POST", path: `/api/config-service/api-key/${key.key_id}/rotate`, body }, location.origin)} />
      </div>
    </Dialog>
  );
}
