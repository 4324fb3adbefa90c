import { expect, it, vi } from "vitest";
import { ShortcutRegistry } from "./registry";

const press = (key: string, more: Partial<KeyboardEvent> = {}) =>
  ({ key, ctrlKey: false, metaKey: false, altKey: false, defaultPrevented: false, isComposing: false, preventDefault: vi.fn(), ...more }) as unknown as KeyboardEvent;

function registry() {
  const keys = new ShortcutRegistry();
  const ran: string[] = [];
  const shortcut = (name: string, whileTyping = false) => ({ keys: name, does: name, run: () => ran.push(name), whileTyping });
  keys.add("Everywhere", [shortcut("r"), shortcut("g p"), shortcut("p"), shortcut("mod+enter", true)]);
  return { keys, ran, shortcut };
}

it("runs one key, and two keys after each other", () => {
  const { keys, ran } = registry();
  keys.handle(press("r"), false, 0);
  keys.handle(press("g"), false, 100);
  keys.handle(press("p"), false, 600);
  expect(ran).toEqual(["r", "g p"]);
});

it("forgets the first key after a second, and after another key", () => {
  const { keys, ran } = registry();
  keys.handle(press("g"), false, 0);
  keys.handle(press("p"), false, 1_001);
  keys.handle(press("g"), false, 2_000);
  keys.handle(press("r"), false, 2_100);
  expect(ran).toEqual(["p", "r"]);
});

it("takes no letter while one types or when they are off, but still the combinations that say so", () => {
  const { keys, ran } = registry();
  keys.handle(press("r"), true, 0);
  keys.handle(press("Enter", { ctrlKey: true }), true, 0);
  keys.lettersOn = false;
  keys.handle(press("r"), false, 0);
  keys.handle(press("Enter", { metaKey: true }), false, 0);
  expect(ran).toEqual(["mod+enter", "mod+enter"]);
});

it("leaves alone what was handled, and keys with Control that mean nothing", () => {
  const { keys, ran } = registry();
  keys.handle(press("r", { defaultPrevented: true }), false, 0);
  keys.handle(press("r", { ctrlKey: true }), false, 0);
  keys.handle(press("r", { isComposing: true }), false, 0);
  expect(ran).toEqual([]);
});

it("lets the page's keys go before the global ones, until the page is left", () => {
  const { keys, ran } = registry();
  const leave = keys.add("Page", [{ keys: "r", does: "page", run: () => ran.push("page") }]);
  keys.handle(press("r"), false, 0);
  leave();
  keys.handle(press("r"), false, 0);
  expect(ran).toEqual(["page", "r"]);
  expect(keys.list().map((group) => group.title)).toEqual(["Everywhere"]);
});
