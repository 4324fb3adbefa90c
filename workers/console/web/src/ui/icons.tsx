/** The only importer of icons: Phosphor's regular weight, one path each, drawn in the text's colour. */
import arrowClockwise from "@phosphor-icons/core/regular/arrow-clockwise.svg?raw";
import arrowDown from "@phosphor-icons/core/regular/arrow-down.svg?raw";
import arrowSquareOut from "@phosphor-icons/core/regular/arrow-square-out.svg?raw";
import arrowUp from "@phosphor-icons/core/regular/arrow-up.svg?raw";
import bookOpen from "@phosphor-icons/core/regular/book-open.svg?raw";
import caretDown from "@phosphor-icons/core/regular/caret-down.svg?raw";
import caretRight from "@phosphor-icons/core/regular/caret-right.svg?raw";
import caretUpDown from "@phosphor-icons/core/regular/caret-up-down.svg?raw";
import check from "@phosphor-icons/core/regular/check.svg?raw";
import checkCircle from "@phosphor-icons/core/regular/check-circle.svg?raw";
import clock from "@phosphor-icons/core/regular/clock.svg?raw";
import code from "@phosphor-icons/core/regular/code.svg?raw";
import columns from "@phosphor-icons/core/regular/columns.svg?raw";
import copy from "@phosphor-icons/core/regular/copy.svg?raw";
import cube from "@phosphor-icons/core/regular/cube.svg?raw";
import desktop from "@phosphor-icons/core/regular/desktop.svg?raw";
import dotsThree from "@phosphor-icons/core/bold/dots-three-bold.svg?raw";
import download from "@phosphor-icons/core/regular/download-simple.svg?raw";
import eye from "@phosphor-icons/core/regular/eye.svg?raw";
import funnel from "@phosphor-icons/core/regular/funnel-simple.svg?raw";
import gear from "@phosphor-icons/core/regular/gear.svg?raw";
import image from "@phosphor-icons/core/regular/image.svg?raw";
import info from "@phosphor-icons/core/regular/info.svg?raw";
import key from "@phosphor-icons/core/regular/key.svg?raw";
import keyboard from "@phosphor-icons/core/regular/keyboard.svg?raw";
import lightning from "@phosphor-icons/core/regular/lightning.svg?raw";
import link from "@phosphor-icons/core/regular/link-simple.svg?raw";
import list from "@phosphor-icons/core/regular/list.svg?raw";
import lock from "@phosphor-icons/core/regular/lock-simple.svg?raw";
import magicWand from "@phosphor-icons/core/regular/magic-wand.svg?raw";
import magnifyingGlass from "@phosphor-icons/core/regular/magnifying-glass.svg?raw";
import minus from "@phosphor-icons/core/regular/minus.svg?raw";
import moon from "@phosphor-icons/core/regular/moon.svg?raw";
import pause from "@phosphor-icons/core/regular/pause.svg?raw";
import pencil from "@phosphor-icons/core/regular/pencil-simple.svg?raw";
import play from "@phosphor-icons/core/regular/play.svg?raw";
import plus from "@phosphor-icons/core/regular/plus.svg?raw";
import prohibit from "@phosphor-icons/core/regular/prohibit.svg?raw";
import question from "@phosphor-icons/core/regular/question.svg?raw";
import signOut from "@phosphor-icons/core/regular/sign-out.svg?raw";
import sliders from "@phosphor-icons/core/regular/sliders-horizontal.svg?raw";
import spinner from "@phosphor-icons/core/regular/circle-notch.svg?raw";
import stack from "@phosphor-icons/core/regular/stack.svg?raw";
import sun from "@phosphor-icons/core/regular/sun.svg?raw";
import trash from "@phosphor-icons/core/regular/trash.svg?raw";
import user from "@phosphor-icons/core/regular/user.svg?raw";
import userCircle from "@phosphor-icons/core/regular/user-circle.svg?raw";
import users from "@phosphor-icons/core/regular/users.svg?raw";
import warning from "@phosphor-icons/core/regular/warning.svg?raw";
import warningCircle from "@phosphor-icons/core/regular/warning-circle.svg?raw";
import wifiSlash from "@phosphor-icons/core/regular/wifi-slash.svg?raw";
import x from "@phosphor-icons/core/regular/x.svg?raw";
import { cx } from "./cx";

const FILES = {
  arrowClockwise, arrowDown, arrowSquareOut, arrowUp, bookOpen, caretDown, caretRight, caretUpDown, check, checkCircle, clock,
  code, columns, copy, cube, desktop, dotsThree, download, eye, funnel, gear, image, info, key, keyboard, lightning,
  link, list, lock, magicWand, magnifyingGlass, minus, moon, pause, pencil, play, plus, prohibit, question, signOut,
  sliders, spinner, stack, sun, trash, user, userCircle, users, warning, warningCircle, wifiSlash, x,
} as const;

export type IconName = keyof typeof FILES;

export interface IconProps {
  name: IconName;
  /** Pixels. */
  size?: number;
  className?: string;
}

/** A decoration: the text beside it, or the label of its button, says the same. */
export function Icon({ name, size = 16, className }: IconProps) {
  return (
    <svg
      viewBox="0 0 256 256"
      width={size}
      height={size}
      fill="currentColor"
      aria-hidden="true"
      className={cx("shrink-0", className)}
    >
      <path d={/\bd="([^"]+)"/.exec(FILES[name])?.[1] ?? ""} />
    </svg>
  );
}

export function Spinner({ size = 16 }: { size?: number }) {
  return <Icon name="spinner" size={size} className="animate-[sy-spin_0.8s_linear_infinite]" />;
}
