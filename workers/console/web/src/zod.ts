/** First module of the application: zod must not probe `new Function`, which the policy reports as a violation. */
import * as z from "zod/mini";

z.config({ jitless: true });
