import { useState } from "react";
import { configService, unwrap } from "../../api/client";
import { useOfflineReason } from "../../api/connection_hooks";
import { snippets } from "../../api/snippets";
import { useIdempotencyKey, useWrite } from "../../api/write";
import { localTime } from "../../format/time";
import { Button, CodeDisclosure, Dialog, ErrorState, Field, TextInput, toast } from "../../ui";
import type { Instance } from "./queries";

/** Pause with a reason, or resume: whichever the status allows. */
export function PauseButton({ instance, size = "md" }: { instance: Instance; size?: "sm" | "md" }) {
  const [open, setOpen] = useState(false);
  if (instance.status !== "active" && instance.status !== "paused") return null;
  const paused = instance.status === "paused";
  return (
    <>
      <Button size={size} icon={paused ? "play" : "pause"} onClick={() => setOpen(true)}>
        {paused ? "Resume" : "Pause"}
      </Button>
      {open && (paused ? <Resume instance={instance} onClose={() => setOpen(false)} /> : <Pause instance={instance} onClose={() => setOpen(false)} />)}
    </>
  );
}

interface Props {
  instance: Instance;
  onClose: () => void;
}

function Pause({ instance, onClose }: Props) {
  const id = instance.instance_id;
  const [reason, setReason] = useState("");
  const [tried, setTried] = useState(false);
  const offline = useOfflineReason();
  const { keyFor } = useIdempotencyKey();
  const pause = useWrite({
    write: "instance.status",
    send: (body: { reason: string }) =>
      unwrap(configService.POST("/instance/{instance_id}/pause", { params: { path: { instance_id: id } }, body, headers: { "Idempotency-Key": keyFor(body) } })),
    onDone: (state) => {
      if (state.paused) toast({ tone: "good", title: `${instance.name} is paused` });
      else toast({ tone: "warn", title: `${instance.name} stays active`, text: `Its pause is overruled until ${localTime(state.override_until)}.` });
      onClose();
    },
  });
  const empty = tried && reason.trim() === "" ? "Say why, so that others know when it may go on." : undefined;
  return (
    <Dialog
      open
      persistent={reason !== ""}
      title={`Pause ${instance.name}?`}
      description="New requests are refused with 403 instance_paused. What runs goes on, and its images can be read."
      onClose={onClose}
      onSubmit={() => {
        setTried(true);
        if (reason.trim() !== "") pause.mutate({ reason: reason.trim() });
      }}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary" icon="pause" busy={pause.isPending} reason={offline}>
            Pause
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-4">
        <Field label="Reason" required help="Shown to everybody who uses the instance." error={empty ?? pause.error?.fieldError("/reason")}>
          <TextInput value={reason} onValue={setReason} maxLength={200} />
        </Field>
        {pause.error !== null && <ErrorState compact error={pause.error} />}
        <CodeDisclosure code={snippets({ method: "POST", path: `/api/config-service/instance/${id}/pause`, body: { reason } }, location.origin)} />
      </div>
    </Dialog>
  );
}

function Resume({ instance, onClose }: Props) {
  const id = instance.instance_id;
  const offline = useOfflineReason();
  const resume = useWrite({
    write: "instance.status",
    send: () => unwrap(configService.POST("/instance/{instance_id}/resume", { params: { path: { instance_id: id } } })),
    onDone: () => {
      toast({ tone: "good", title: `${instance.name} is active again` });
      onClose();
    },
  });
  const guarded = instance.paused_reason === "cost_guard";
  return (
    <Dialog
      open
      size="sm"
      title={`Resume ${instance.name}?`}
      description={guarded ? "The cost guard paused it. Resuming overrules the guard until midnight UTC." : "It takes new work again, everywhere within 5 seconds."}
      onClose={onClose}
      onSubmit={() => resume.mutate(undefined)}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone="primary" icon="play" busy={resume.isPending} reason={offline}>
            Resume
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-4">
        {resume.error !== null && <ErrorState compact error={resume.error} />}
        <CodeDisclosure code={snippets({ method: "POST", path: `/api/config-service/instance/${id}/resume` }, location.origin)} />
      </div>
    </Dialog>
  );
}
