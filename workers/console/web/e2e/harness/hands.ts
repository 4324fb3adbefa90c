/** The two ways to work with a page: a journey that takes `Hands` is walked with the mouse, and with the keyboard alone. */
import type { Locator, Page } from "playwright-core";

export interface Hands {
  /** A button, a link, a check box, a row's menu. */
  press(target: Locator): Promise<void>;
  /** A text field; what stood there is replaced. */
  write(target: Locator, text: string): Promise<void>;
  /** A tab of a list of tabs. */
  tab(target: Locator): Promise<void>;
  /** An entry of a menu that a button opens. */
  choose(trigger: Locator, entry: Locator): Promise<void>;
  /** An option of a list with a search field that a button opens. */
  find(trigger: Locator, option: string): Promise<void>;
  /** A radio button of a group, of which only one is reached by Tab. */
  pick(target: Locator): Promise<void>;
  /** A cell of a grid in which only one cell is reached by Tab. */
  cell(target: Locator): Promise<void>;
}

/** More elements than any page has; a place that so many steps do not lead to cannot be reached. */
const MOST_STEPS = 250;

export function mouse(page: Page): Hands {
  const press = (target: Locator) => target.click();
  return {
    press,
    write: (target, text) => target.fill(text),
    tab: press,
    cell: press,
    pick: (target) => target.check(),
    choose: async (trigger, entry) => {
      await trigger.click();
      await entry.click();
    },
    find: async (trigger, option) => {
      await trigger.click();
      await page.getByRole("option", { name: option }).click();
    },
  };
}

const has = (target: Locator) => target.evaluate((element) => element === document.activeElement);

/** Presses a key until it is so; fails after more presses than any page needs. */
async function until(page: Page, is: () => Promise<boolean>, key: string, what: Locator): Promise<void> {
  for (let step = 0; step < MOST_STEPS; step += 1) {
    if (await is()) return;
    await page.keyboard.press(key);
  }
  throw new Error(`${key} does not lead to ${String(what)}`);
}

/** Presses Tab until the focus is there. */
export async function tabTo(page: Page, target: Locator): Promise<void> {
  await target.waitFor();
  await until(page, () => has(target), "Tab", target);
}

/** Tab, arrows, letters, Enter and Space; never `focus()`. */
export function keyboard(page: Page): Hands {
  const shows = (target: Locator) => target.evaluate((element) => element === document.activeElement || element.hasAttribute("data-highlighted"));
  const reach = (target: Locator) => tabTo(page, target);
  const press = async (target: Locator) => {
    await reach(target);
    await page.keyboard.press((await target.getAttribute("type")) === "checkbox" ? "Space" : "Enter");
  };
  return {
    press,
    write: async (target, text) => {
      await reach(target);
      await page.keyboard.press("Control+a");
      await page.keyboard.type(text);
    },
    tab: async (target) => {
      const list = page.getByRole("tablist").filter({ has: target });
      await reach(list.locator('[role="tab"][aria-selected="true"]'));
      await until(page, () => has(target), "ArrowRight", target);
      await page.keyboard.press("Enter");
    },
    pick: async (target) => {
      const name = (await target.getAttribute("name")) ?? "";
      const group = page.locator(`input[type="radio"][name="${name}"]`);
      await until(page, () => group.evaluateAll((radios) => radios.some((radio) => radio === document.activeElement)), "Tab", target);
      await until(page, () => has(target), "ArrowDown", target);
      if (!(await target.isChecked())) await page.keyboard.press("Space");
    },
    cell: async (target) => {
      await target.waitFor();
      const grid = page.locator("[data-cell]");
      await until(page, () => grid.evaluateAll((cells) => cells.some((cell) => cell === document.activeElement)), "Tab", grid);
      await until(page, () => has(target), "ArrowRight", target);
      await page.keyboard.press("Space");
    },
    choose: async (trigger, entry) => {
      await reach(trigger);
      await page.keyboard.press("Enter");
      await entry.waitFor();
      await until(page, () => shows(entry), "ArrowDown", entry);
      await page.keyboard.press("Enter");
    },
    find: async (trigger, option) => {
      await reach(trigger);
      await page.keyboard.press("Enter");
      await page.getByLabel("Search the list").waitFor();
      await page.keyboard.type(option);
      const found = page.getByRole("option", { name: option });
      await found.waitFor();
      await until(page, () => shows(found), "ArrowDown", found);
      await page.keyboard.press("Enter");
    },
  };
}
