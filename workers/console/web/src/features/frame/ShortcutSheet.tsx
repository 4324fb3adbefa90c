import { useState } from "react";
import { shortcuts, useShortcutList } from "../../keyboard";
import { lettersWanted, wantLetters } from "../../theme/preferences";
import { cx, Dialog, Switch } from "../../ui";

const NAMES: Readonly<Record<string, string>> = { mod: "Ctrl", enter: "Enter", escape: "Esc", alt: "Alt", arrowup: "↑", arrowdown: "↓" };

export function ShortcutSheet({ open, onClose }: { open: boolean; onClose: () => void }) {
  const groups = useShortcutList().filter((group) => group.shortcuts.length > 0);
  const [letters, setLetters] = useState(lettersWanted);
  const change = (on: boolean) => {
    setLetters(on);
    wantLetters(on);
    shortcuts.lettersOn = on;
  };
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title="Keyboard shortcuts"
      description="Single letters do nothing while you type."
      footer={<Switch checked={letters} onChecked={change} label="Single letters are shortcuts" className="mr-auto" />}
    >
      <div className={cx("grid gap-x-8 gap-y-6 pb-4", groups.length > 1 && "sm:grid-cols-2")}>
        {groups.map((group, at) => (
          <section key={`${group.title}-${at}`} className="flex flex-col gap-1.5">
            <h3 className="text-sm font-semibold">{group.title}</h3>
            <dl className="flex flex-col">
              {group.shortcuts.map((shortcut) => (
                <div key={shortcut.keys} className="flex min-h-8 items-center justify-between gap-4 border-b border-line text-base last:border-0">
                  <dt>{shortcut.does}</dt>
                  <dd className="flex gap-1">
                    {shortcut.keys.split(/[ +]/).map((key) => (
                      <kbd key={key} className="min-w-6 rounded-sm border border-line bg-sunken px-1.5 text-center text-sm">
                        {NAMES[key] ?? key}
                      </kbd>
                    ))}
                  </dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
