/** The shared components. Features import from here only. */
export { Button, buttonClass, IconButton, LinkOut } from "./Button";
export { CodeBlock, CodeDisclosure, CodeTabs } from "./Code";
export { Combobox, MultiSelect } from "./Combobox";
export { CopyButton, CopyField, CopyTextButton, Id } from "./Copy";
export { cx } from "./cx";
export { type Column, DataTable, type Rows, type TableState } from "./DataTable";
export { Confirm, Dialog, Drawer, LeaveDialog } from "./Dialog";
export { applyPatch, diff, type DiffRow, equal, type Json, mergePatch, shownValue } from "./diff";
export { DiffView } from "./DiffView";
export { ErrorState, type Failure, useCountdown } from "./ErrorState";
export { Field, focusFirstError, useField } from "./Field";
export {
  Badge,
  Banner,
  EmptyState,
  Meter,
  Skeleton,
  SkeletonText,
  StaleBadge,
  Time,
  type Tone,
  useNow,
} from "./feedback";
export { FilterBar } from "./FilterBar";
export { Icon, type IconName, Spinner } from "./icons";
export { Checkbox, NumberInput, type Option, RadioGroup, SearchInput, Select, Switch, TextArea, TextInput } from "./inputs";
export { JsonTree } from "./JsonTree";
export { Facts, Page, Panel, useTitle } from "./layout";
export { MissingRow } from "./MissingRow";
export { Menu, type MenuAction, type MenuEntry } from "./Menu";
export { SecretInput, ShowOnce } from "./Secret";
export { Brand, type Room, type RoomGroup, Shell } from "./Shell";
export { Tabs } from "./Tabs";
export { announce, toast, Toaster } from "./Toast";
export { Tooltip } from "./Tooltip";
export { CSPProvider } from "@base-ui/react/csp-provider";
