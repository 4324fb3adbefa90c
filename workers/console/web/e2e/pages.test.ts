import { test } from "vitest";
import { closeApp, openApp } from "./harness";
import { THEMES } from "./harness/app";
import { pages } from "./pages";

/** The layout follows the window by style sheets alone, so one load serves all sizes. */
const WIDE = { width: 1440, height: 900 };
const NARROW = { width: 360, height: 800 };
/** Of section 7 of the console's specification, as Lighthouse counts it. */
const MOST_SHIFT = 0.02;

test.for(pages)("$name is accessible in both themes, and fits a wide and a narrow window", async ({ name, path, as, prepare }) => {
  const app = await openApp();
  let failed = true;
  try {
    if (as !== null) await app.signIn(as);
    await app.open(path);
    await app.staysPut(MOST_SHIFT);
    await prepare?.(app);
    for (const size of [WIDE, NARROW]) {
      await app.page.setViewportSize(size);
      // Each size has all rules once, and those of colours in both themes: the others see no theme.
      const [first, second] = size === WIDE ? (["light", "dark"] as const) : (["dark", "light"] as const);
      await app.axe([first]);
      await app.axe([second], "of colours");
      for (const theme of THEMES) {
        await app.theme(theme);
        await app.fits(`${name}-${size.width}-${theme}`);
      }
    }
    failed = false;
  } finally {
    await closeApp(app, name, failed);
  }
});
