import { expect, it } from "vitest";
import { errorFrom } from "./errors";
import { resumeReads, settleAll, signInAgain, waiting, watchWaiting } from "./reauth";

const error = errorFrom(401, '{"error":"auth_failed"}', new Headers(), "r");
const write = { method: "POST", path: "/api/config-service/user" };

it("lets reads go on after a sign-in, and keeps writes until the person has decided", async () => {
  let changes = 0;
  const stop = watchWaiting(() => (changes += 1));
  const read = signInAgain(null, error);
  const refused = signInAgain(write, error);
  expect(waiting()).toHaveLength(2);
  resumeReads();
  expect(await read).toBe(true);
  expect(waiting().map((entry) => entry.write)).toEqual([write]);
  settleAll(true);
  expect(await refused).toBe(true);
  expect(waiting()).toEqual([]);
  expect(changes).toBe(4);
  stop();
});

it("fails all that wait when nobody signs in", async () => {
  const all = Promise.all([signInAgain(null, error), signInAgain(write, error)]);
  settleAll(false);
  expect(await all).toEqual([false, false]);
});
