import { useState } from "react";
import { Button } from "./Button";
import { CopyTextButton } from "./Copy";
import { cx } from "./cx";
import { Dialog } from "./Dialog";
import { CONTROL, useField } from "./Field";
import { Icon } from "./icons";
import { Checkbox, type TextInputProps } from "./inputs";
import { Banner } from "./feedback";

/** A password field: no autocomplete, readable only while its button is held (or Space or Enter on it). */
export function SecretInput({ value, onValue, className, ...rest }: Omit<TextInputProps, "type" | "mono">) {
  const [shown, setShown] = useState(false);
  const hide = () => setShown(false);
  return (
    <span className="relative block w-full">
      <input
        autoComplete="off"
        spellCheck={false}
        autoCapitalize="off"
        data-1p-ignore
        data-lpignore="true"
        {...useField()}
        {...rest}
        type={shown ? "text" : "password"}
        value={value}
        onChange={(event) => onValue(event.target.value)}
        className={cx(CONTROL, "h-9 pr-10 font-mono text-sm", className)}
      />
      <button
        type="button"
        aria-label="Hold to show"
        aria-pressed={shown}
        onPointerDown={() => setShown(true)}
        onPointerUp={hide}
        onPointerLeave={hide}
        onPointerCancel={hide}
        onKeyDown={(event) => (event.key === " " || event.key === "Enter") && setShown(true)}
        onKeyUp={hide}
        onBlur={hide}
        onClick={(event) => event.preventDefault()}
        className="absolute top-1 right-1 inline-flex size-7 items-center justify-center rounded-sm text-muted hover:bg-hover hover:text-text"
      >
        <Icon name="eye" />
      </button>
    </span>
  );
}

export interface ShowOnceProps {
  open: boolean;
  /** The secret is forgotten by the caller here. */
  onClose: () => void;
  title: string;
  secret: string;
  /** What it is for, and that it is shown once. */
  children?: React.ReactNode;
}

/** A new secret, shown once: the dialog closes only after "I have stored it". */
export function ShowOnce({ open, onClose, title, secret, children }: ShowOnceProps) {
  const [stored, setStored] = useState(false);
  const done = () => {
    setStored(false);
    onClose();
  };
  return (
    <Dialog
      open={open}
      onClose={() => undefined}
      persistent
      title={title}
      footer={
        <Button tone="primary" disabled={!stored} onClick={done}>
          Done
        </Button>
      }
    >
      <div className="flex flex-col gap-4">
        <Banner tone="warn" title="This is the only time it is shown">
          Store it now in a secret manager. It cannot be read again; a lost one must be replaced.
        </Banner>
        <div className="flex flex-wrap items-center gap-3 rounded-md border border-control bg-code-ground p-3">
          <code data-secret className="min-w-0 flex-1 basis-64 text-sm break-all text-code select-all">
            {secret}
          </code>
          <CopyTextButton text={secret} what="Secret" />
        </div>
        {children}
        <Checkbox checked={stored} onChecked={setStored} label="I have stored it" />
      </div>
    </Dialog>
  );
}
