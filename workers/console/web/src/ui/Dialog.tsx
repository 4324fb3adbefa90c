import { Dialog as Base } from "@base-ui/react/dialog";
import { type ReactNode, useRef, useState } from "react";
import { Button } from "./Button";
import { CodeDisclosure } from "./Code";
import { cx } from "./cx";
import { Field } from "./Field";
import { Icon } from "./icons";
import { TextInput } from "./inputs";

export interface DialogProps {
  open: boolean;
  onClose: () => void;
  title: string;
  description?: ReactNode;
  /** Buttons, the main one last. */
  footer?: ReactNode;
  size?: "sm" | "md" | "lg" | "xl";
  /** Neither Escape nor a click outside closes it: a key that is shown once, a form with text. */
  persistent?: boolean;
  children?: ReactNode;
  /** Makes the whole dialog a form, so Enter and Ctrl+Enter submit by the button of type `submit`, which may refuse. */
  onSubmit?: () => void;
}

const WIDTHS = { sm: "max-w-md", md: "max-w-xl", lg: "max-w-3xl", xl: "max-w-5xl" };
const BACKDROP =
  "fixed inset-0 z-40 bg-overlay transition-opacity duration-150 data-starting-style:opacity-0 data-ending-style:opacity-0";

/** Focus goes in, is held, and returns to where it was. */
export function Dialog(props: DialogProps) {
  const { open, onClose, title, description, footer, size = "md", persistent = false, children, onSubmit } = props;
  const popup = useRef<HTMLDivElement>(null);
  return (
    <Base.Root
      open={open}
      onOpenChange={(next, details) => {
        if (next || (persistent && details.reason !== "close-press")) return;
        onClose();
      }}
      disablePointerDismissal={persistent}
    >
      <Base.Portal>
        <Base.Backdrop forceRender className={BACKDROP} />
        <Base.Viewport className="fixed inset-0 z-50 grid place-items-center overflow-y-auto p-3 sm:p-6">
          <Base.Popup
            ref={popup}
            initialFocus={() => firstControl(popup.current)}
            className={cx(
              "flex max-h-[calc(100dvh-1.5rem)] w-full flex-col rounded-xl border border-line bg-raised text-text shadow-3",
              "transition-[opacity,scale] duration-150 data-starting-style:scale-98 data-starting-style:opacity-0 data-ending-style:opacity-0",
              WIDTHS[size],
            )}
          >
            <Frame {...(onSubmit === undefined ? {} : { onSubmit })}>
              <header className="flex items-start gap-4 px-5 pt-4.5 pb-1">
                <div className="flex min-w-0 flex-1 flex-col gap-1">
                  <Base.Title className="text-lg font-semibold">{title}</Base.Title>
                  {description !== undefined && (
                    <Base.Description className="text-base text-muted">{description}</Base.Description>
                  )}
                </div>
                {!persistent && <Close />}
              </header>
              {children !== undefined && <div data-dialog-body className="min-h-0 flex-1 overflow-y-auto px-5 pt-3 pb-4">
                    {children}
                  </div>}
              {footer !== undefined && (
                <footer className="flex flex-wrap items-center justify-end gap-2 rounded-b-xl border-t border-line bg-sunken px-5 py-3">
                  {footer}
                </footer>
              )}
            </Frame>
          </Base.Popup>
        </Base.Viewport>
      </Base.Portal>
    </Base.Root>
  );
}

/** What one came for: the first field; without one, the first button at the foot. */
function firstControl(popup: HTMLElement | null): HTMLElement | true {
  const field = "[data-dialog-body] :is(input, textarea, select):not(:disabled)";
  return popup?.querySelector<HTMLElement>(field) ?? popup?.querySelector<HTMLElement>("footer button:not(:disabled)") ?? true;
}

function Frame({ onSubmit, children }: { onSubmit?: () => void; children: ReactNode }) {
  if (onSubmit === undefined) return <div className="flex min-h-0 flex-1 flex-col">{children}</div>;
  return (
    // eslint-disable-next-line jsx-a11y/no-noninteractive-element-interactions -- keys of the fields inside arrive here
    <form
      noValidate
      className="flex min-h-0 flex-1 flex-col"
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          // By its button, as Enter does: one that is busy, disabled or says a reason takes no submit.
          event.currentTarget.querySelector<HTMLButtonElement>("button[type=submit]")?.click();
        }
      }}
    >
      {children}
    </form>
  );
}

function Close() {
  return (
    <Base.Close
      aria-label="Close"
      className="-mt-1 -mr-2 inline-flex size-8 items-center justify-center rounded-md text-muted hover:bg-hover hover:text-text"
    >
      <Icon name="x" />
    </Base.Close>
  );
}

export interface DrawerProps {
  open: boolean;
  onClose: () => void;
  title: string;
  side?: "left" | "right";
  footer?: ReactNode;
  children: ReactNode;
  /** Wide enough for a record's details. */
  wide?: boolean;
}

export function Drawer({ open, onClose, title, side = "right", footer, children, wide = false }: DrawerProps) {
  return (
    <Base.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Base.Portal>
        <Base.Backdrop forceRender className={BACKDROP} />
        <Base.Popup
          className={cx(
            "fixed inset-y-0 z-50 flex w-full flex-col bg-raised text-text shadow-3 transition-transform duration-200",
            side === "right"
              ? "right-0 border-l border-line data-starting-style:translate-x-full data-ending-style:translate-x-full"
              : "left-0 border-r border-line data-starting-style:-translate-x-full data-ending-style:-translate-x-full",
            wide ? "max-w-2xl" : side === "left" ? "max-w-72" : "max-w-md",
          )}
        >
          <header className="flex items-center gap-4 border-b border-line px-5 py-3">
            <Base.Title title={title} className="min-w-0 flex-1 truncate text-lg font-semibold">{title}</Base.Title>
            <Close />
          </header>
          <div className="min-h-0 flex-1 overflow-y-auto px-5 py-4">{children}</div>
          {footer !== undefined && (
            <footer className="flex flex-wrap items-center justify-end gap-2 border-t border-line bg-sunken px-5 py-3">{footer}</footer>
          )}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  );
}

export interface LeaveDialogProps {
  open: boolean;
  onStay: () => void;
  onLeave: () => void;
  /** What is not saved. */
  children: ReactNode;
}

/** Asks before unsaved work is left. */
export function LeaveDialog({ open, onStay, onLeave, children }: LeaveDialogProps) {
  return (
    <Dialog
      open={open}
      onClose={onStay}
      size="sm"
      title="Leave without saving?"
      footer={
        <>
          <Button onClick={onLeave}>Leave, and lose it</Button>
          <Button tone="primary" onClick={onStay}>
            Stay here
          </Button>
        </>
      }
    >
      <p>{children}</p>
    </Dialog>
  );
}

export interface ConfirmProps {
  open: boolean;
  onClose: () => void;
  onConfirm: () => void;
  title: string;
  /** What is lost, and what stays. */
  children: ReactNode;
  /** The button's words: "Delete instance". */
  action: string;
  /** Text that must be typed first; without it one click confirms. */
  typed?: string;
  /** Dangerous unless it brings something back. */
  tone?: "danger" | "primary";
  busy?: boolean;
  /** Why it cannot be done now; asked for, so that no page forgets that it may be offline. */
  reason: string | undefined;
  /** The failure of the last try. */
  error?: ReactNode;
  /** The call as code, by language. */
  code?: Readonly<Record<string, string>>;
}

/** A dangerous action: says what is lost, and asks for the name where nothing can undo it. */
export function Confirm({ open, ...props }: ConfirmProps) {
  return open ? <ConfirmDialog {...props} /> : null;
}

/** Mounted while it is open: what was typed is gone with it. */
function ConfirmDialog({ onClose, onConfirm, title, children, action, typed, tone = "danger", busy = false, reason, error, code }: Omit<ConfirmProps, "open">) {
  const [text, setText] = useState("");
  const ready = typed === undefined || text.trim() === typed;
  return (
    <Dialog
      open
      size="sm"
      title={title}
      onClose={onClose}
      onSubmit={() => {
        if (ready && !busy && reason === undefined) onConfirm();
      }}
      footer={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button type="submit" tone={tone} busy={busy} disabled={!ready && reason === undefined} reason={reason}>
            {action}
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-4">
        <div className="flex flex-col gap-3 text-base">
          {children}
          {error}
        </div>
        {typed !== undefined && (
          <Field label={`Type “${typed}” to confirm`}>
            <TextInput mono value={text} onValue={setText} />
          </Field>
        )}
        {code !== undefined && <CodeDisclosure code={code} />}
      </div>
    </Dialog>
  );
}
