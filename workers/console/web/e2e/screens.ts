/** Pictures of every page and state in both themes and two sizes; `npm run screens`, `-- -t name` for some. */
import { mkdir } from "node:fs/promises";
import { closeApp, openApp, test } from "./harness";
import { THEMES } from "./harness/app";
import { SCREENS } from "./harness/report";
import { pages } from "./pages";

const SIZES = [
  { width: 1440, height: 900 },
  { width: 360, height: 800 },
];

test.each(pages)("$name", async ({ name, path, as, prepare }) => {
  await mkdir(SCREENS, { recursive: true });
  for (const viewport of SIZES) {
    const app = await openApp({ viewport });
    let failed = true;
    try {
      await app.theme("light");
      if (as !== null) await app.signIn(as);
      await app.open(path);
      await prepare?.(app);
      for (const theme of THEMES) {
        await app.theme(theme);
        await app.page.screenshot({ path: `${SCREENS}${name}-${viewport.width}-${theme}.png` });
      }
      failed = false;
    } finally {
      await closeApp(app, `screen ${name}`, failed);
    }
  }
});
