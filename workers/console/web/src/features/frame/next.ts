/** Where to go after signing in: a path of this origin, or the start. */
export function safeNext(next: string | undefined): string {
  if (next === undefined || !next.startsWith("/")) return "/";
  // A browser reads `\` as `/` and drops control characters, so `/\host` and `/<tab>/host` would be other origins.
  if (/^\/[/\\]/.test(next) || /[\u0000-\u001f\\]/.test(next)) return "/";
  const origin = "http://origin.invalid";
  try {
    const url = new URL(next, origin);
    if (url.origin !== origin || url.pathname === "/login") return "/";
    return url.pathname + url.search + url.hash;
  } catch {
    return "/";
  }
}
