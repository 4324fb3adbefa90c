// `POST /mode?is=pass|fail|throw|hang` says what happens to every other request; `GET /mode` tells it, how many requests
// came since the mode was set, and how many bytes the last of them were answered with. Memory of the one isolate is enough:
// a stack is one process. `POST /jobs` puts its body into the queue `jobs`, as the limiter's objects do. What comes to
// `/bare/..` goes on to config-service without props, as from public HTTP, and what comes to `/caller/..` with them.
const REMEMBERED = 100;
let mode = "pass";
let calls = 0;
let bytes = [];

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/mode") {
      if (request.method === "POST") {
        const wanted = url.searchParams.get("is");
        if (!["pass", "fail", "throw", "hang"].includes(wanted)) {
          return Response.json({ error: "is: pass, fail, throw or hang" }, { status: 400 });
        }
        mode = wanted;
        calls = 0;
        bytes = [];
      }
      return Response.json({ mode, calls, bytes });
    }
    if (url.pathname === "/jobs" && request.method === "POST") {
      await env.JOBS.send(await request.text(), { contentType: "text" });
      return Response.json({ sent: true });
    }
    const [, way, rest] = /^\/(bare|caller)(\/.*)$/.exec(url.pathname) ?? [];
    if (way !== undefined) {
      const target = way === "bare" ? env.CONFIG_SERVICE_BARE : env.CONFIG_SERVICE;
      return target.fetch(new Request(new URL(rest + url.search, url), request));
    }
    calls += 1;
    switch (mode) {
      case "fail":
        return new Response("out of order", { status: 500 });
      case "throw":
        throw new Error("out of order");
      case "hang":
        // Longer than any caller waits.
        await new Promise((done) => setTimeout(done, 10_000));
        return new Response("too late", { status: 504 });
      default: {
        const answer = await env.CONFIG_SERVICE.fetch(request);
        const body = await answer.arrayBuffer();
        bytes = [...bytes.slice(1 - REMEMBERED), body.byteLength];
        // A status without a body refuses even an empty one.
        return new Response(body.byteLength > 0 ? body : null, answer);
      }
    }
  },
};
