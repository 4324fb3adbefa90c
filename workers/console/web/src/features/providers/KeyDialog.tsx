import { useRef, useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { snippets } from "../../api/snippets";
import { useIdempotencyKey, useWrite } from "../../api/write";
import { Banner, Button, CodeDisclosure, Combobox, Dialog, ErrorState, Field, focusFirstError, SecretInput, Select, TextInput, toast } from "../../ui";
import { KEY_STATE, keyProblem, maskOf, OVERLAPS, type ProviderKey } from "./model";

export interface Wanted {
  kind: "set" | "rotate";
  /** `null`: the provider is chosen in the dialog. */
  key: ProviderKey | null;
}

interface KeyDialogProps {
  instanceId: string;
  wanted: Wanted;
  providers: readonly string[];
  known: readonly ProviderKey[];
  onClose: () => void;
}

export function KeyDialog({ instanceId, wanted, providers, known, onClose }: KeyDialogProps) {
  const [provider, setProvider] = useState<string | null>(wanted.key?.provider ?? null);
  const [value, setValue] = useState("");
  const [account, setAccount] = useState("");
  const [webhook, setWebhook] = useState("");
  const [overlap, setOverlap] = useState<string>("86400");
  const [tried, setTried] = useState(false);
  const area = useRef<HTMLDivElement>(null);
  const offline = useOfflineReason();
  const { keyFor } = useIdempotencyKey();
  const rotate = wanted.kind === "rotate";
  const existing = known.find((key) => key.provider === provider) ?? null;
  // The version that was shown when the dialog opened: another one means that somebody entered a key meanwhile.
  const [began, setBegan] = useState<number | null>(wanted.key?.version ?? null);
  const shown = wanted.key === null ? (existing?.version ?? null) : began;

  const body = {
    api_key: value.trim(),
    ...(account.trim() === "" ? {} : { account: account.trim() }),
    ...(webhook.trim() === "" ? {} : { webhook_secret: webhook.trim() }),
  };
  const save = useWrite({
    write: "provider-key.change",
    send: (on: { provider: string; version: number | null }) => {
      const path = { instance_id: instanceId, provider: on.provider };
      if (rotate) {
        const sent = { ...body, keep_previous_s: Number(overlap) };
        return unwrap(configService.POST("/instance/{instance_id}/provider-key/{provider}/rotate", { params: { path }, body: sent, headers: { "Idempotency-Key": keyFor(sent) } }));
      }
      const header = on.version === null ? {} : { "If-Match": `"${on.version}"` };
      return unwrap(configService.PUT("/instance/{instance_id}/provider-key/{provider}", { params: { path, header }, body }));
    },
    onDone: (key) => {
      toast({ tone: "good", title: rotate ? `Key of ${key.provider} rotated` : `Key of ${key.provider} set`, text: "New requests use it within 5 seconds." });
      onClose();
    },
  });
  const conflict = save.error?.status === 412 || save.error?.status === 428 ? save.error : null;
  const current = conflict?.details["current_version"];
  const theirs = typeof current === "number" ? current : (existing?.version ?? null);
  const problem = keyProblem(value);
  const submit = (version: number | null) => {
    setTried(true);
    if (provider === null || problem !== undefined) {
      focusFirstError(area.current);
      return;
    }
    setBegan(version);
    save.mutate({ provider, version });
  };
  const request = {
    method: rotate ? "POST" : "PUT",
    path: `/api/config-service/instance/${instanceId}/provider-key/${provider ?? "PROVIDER"}${rotate ? "/rotate" : ""}`,
    ...(rotate || shown === null ? {} : { headers: { "If-Match": `"${shown}"` } }),
    body: { ...body, api_key: "****", ...("webhook_secret" in body ? { webhook_secret: "****" } : {}), ...(rotate ? { keep_previous_s: Number(overlap) } : {}) },
  } as const;
  const title = rotate ? `Rotate the key of ${provider ?? ""}` : provider === null || typeof existing?.version !== "number" ? "Set provider key" : `Replace the key of ${provider}`;
  return (
    <Dialog
      open
      persistent={value !== ""}
      title={title}
      description="It is sealed at once and never shown again."
      onClose={onClose}
      onSubmit={() => submit(shown)}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          {conflict === null ? (
            <Button type="submit" tone="primary" busy={save.isPending} reason={offline}>
              {rotate ? "Rotate key" : "Set key"}
            </Button>
          ) : (
            <Button tone="primary" busy={save.isPending} reason={offline} onClick={() => submit(theirs)}>
              Replace theirs with mine
            </Button>
          )}
        </>
      }
    >
      <div ref={area} className="flex flex-col gap-4">
        {conflict !== null && (
          <Banner tone="warn" title="Somebody else set this key meanwhile">
            {existing !== null && maskOf(existing) !== null ? `It is ${maskOf(existing) ?? ""} now. ` : ""}Close to keep theirs, or replace it with yours.
          </Banner>
        )}
        {wanted.key === null ? (
          <Field label="Provider" required error={tried && provider === null ? "Choose the provider." : undefined}>
            <Combobox value={provider} onValue={setProvider} options={providers.map((name) => ({ value: name, label: name }))} placeholder="Choose" />
          </Field>
        ) : (
          KEY_STATE[wanted.key.state].advice !== "" && !rotate && <p className="text-base text-muted">{KEY_STATE[wanted.key.state].advice}</p>
        )}
        {!rotate && wanted.key !== null && wanted.key.state === "set" && (
          <Banner tone="info" title="This replaces the key for running jobs too">
            Use it to correct a mistake. To change a key that is in use, rotate it: the old one stays for the jobs that began with it.
          </Banner>
        )}
        <Field label="Key" required error={(tried ? problem : undefined) ?? save.error?.fieldError("/api_key")}>
          <SecretInput value={value} onValue={setValue} />
        </Field>
        {rotate && (
          <Field label="Keep the previous key for" help="For the jobs that were submitted under it.">
            <Select value={overlap} onValue={setOverlap} options={OVERLAPS} />
          </Field>
        )}
        <div className="grid gap-4 sm:grid-cols-2">
          <Field label="Account" help="Only where the vendor needs one." error={save.error?.fieldError("/account")}>
            <TextInput mono value={account} onValue={setAccount} />
          </Field>
          <Field label="Webhook secret" help="Only for the vendor's webhooks." error={save.error?.fieldError("/webhook_secret")}>
            <SecretInput value={webhook} onValue={setWebhook} />
          </Field>
        </div>
        {save.error !== null && conflict === null && <ErrorState compact error={save.error} />}
        <CodeDisclosure code={snippets(request, location.origin)} />
      </div>
    </Dialog>
  );
}
