import { type ComponentPropsWithRef, type ReactNode, useId } from "react";
import { cx } from "./cx";
import { Icon, type IconName, Spinner } from "./icons";
import { Tooltip } from "./Tooltip";

export type ButtonTone = "primary" | "secondary" | "ghost" | "danger";

const TONES: Record<ButtonTone, string> = {
  primary: "bg-accent text-on-accent shadow-1 hover:bg-accent-strong border-transparent",
  secondary: "bg-surface text-text border-control/45 shadow-1 hover:bg-hover",
  ghost: "bg-transparent text-muted border-transparent hover:bg-hover hover:text-text",
  danger: "bg-danger text-on-danger shadow-1 hover:bg-danger-strong border-transparent",
};
const SIZES = { sm: "h-7 px-2.5 text-sm gap-1.5", md: "h-9 px-3.5 text-base gap-2" };
const BASE =
  "inline-flex items-center justify-center rounded-md border font-medium whitespace-nowrap select-none transition-colors " +
  "disabled:opacity-55 disabled:shadow-none aria-disabled:opacity-55";

export function buttonClass(tone: ButtonTone = "secondary", size: keyof typeof SIZES = "md"): string {
  return cx(BASE, TONES[tone], SIZES[size]);
}

export interface ButtonProps extends ComponentPropsWithRef<"button"> {
  tone?: ButtonTone;
  size?: keyof typeof SIZES;
  icon?: IconName;
  /** At work: shows it, and takes no click, but keeps the focus. */
  busy?: boolean;
  /** Counts down, as its words say, and takes no click; unlike `disabled` it keeps the focus. */
  waiting?: boolean;
  /** Why it cannot be used; said as its description. */
  reason?: string | undefined;
}

export function Button(props: ButtonProps) {
  const { tone, size = "md", icon, busy = false, waiting = false, reason, className, children, onClick, type = "button", ...rest } = props;
  const blocked = busy || waiting || reason !== undefined;
  const reasonId = useId();
  const button = (
    <button
      {...rest}
      type={type}
      aria-disabled={blocked || undefined}
      aria-busy={busy || undefined}
      {...(reason === undefined ? {} : { "aria-describedby": reasonId })}
      onClick={blocked ? (event) => event.preventDefault() : onClick}
      className={cx(buttonClass(tone, size), className)}
    >
      {busy ? <Spinner size={size === "sm" ? 14 : 16} /> : icon && <Icon name={icon} size={size === "sm" ? 14 : 16} />}
      {children}
    </button>
  );
  if (reason === undefined) return button;
  return (
    <>
      <Tooltip text={reason}>{button}</Tooltip>
      <span id={reasonId} hidden>
        {reason}
      </span>
    </>
  );
}

export interface IconButtonProps extends Omit<ComponentPropsWithRef<"button">, "children" | "aria-label"> {
  icon: IconName;
  /** What it does; also its tooltip. */
  label: string;
  size?: "sm" | "md";
  tooltip?: boolean;
}

export function IconButton({ icon, label, size = "md", tooltip = true, className, type = "button", ...rest }: IconButtonProps) {
  const button = (
    <button
      {...rest}
      type={type}
      aria-label={label}
      className={cx(
        "inline-flex items-center justify-center rounded-md text-muted transition-colors hover:bg-hover hover:text-text",
        "disabled:opacity-55",
        size === "sm" ? "size-7" : "size-9",
        className,
      )}
    >
      <Icon name={icon} size={size === "sm" ? 15 : 18} />
    </button>
  );
  return tooltip ? <Tooltip text={label}>{button}</Tooltip> : button;
}

/** A link that leaves the application's own pages, or a download. */
export function LinkOut({ href, children }: { href: string; children: ReactNode }) {
  return (
    <a href={href} target="_blank" rel="noreferrer" className="inline-flex items-center gap-1 text-link underline underline-offset-2">
      {children}
      <Icon name="arrowSquareOut" size={13} />
    </a>
  );
}
