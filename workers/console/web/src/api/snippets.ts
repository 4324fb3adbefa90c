/** A request as code that a person can run: the key is always `$SWITCHYARD_KEY`, never a real one. */

export interface SnippetRequest {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Path at the console: `/api/image-gen/generate`. */
  path: string;
  query?: Readonly<Record<string, string | number | boolean | undefined>>;
  headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  body?: unknown;
}

export type Language = "curl" | "TypeScript" | "Python" | "Rust";
export const LANGUAGES: readonly Language[] = ["curl", "TypeScript", "Python", "Rust"];

const KEY = "SWITCHYARD_KEY";

/** All languages; `origin` is the console's address, the page's own unless said. */
export function snippets(request: SnippetRequest, origin: string): Record<Language, string> {
  const call: Call = {
    method: request.method,
    url: origin + request.path + queryOf(request.query ?? {}),
    headers: Object.entries(request.headers ?? {}).filter(([name]) => !/^(authorization|cookie)$/i.test(name)),
    json: request.body === undefined ? null : JSON.stringify(request.body, null, 2),
  };
  return { curl: curl(call), TypeScript: typescript(call), Python: python(call), Rust: rust(call) };
}

interface Call {
  method: string;
  url: string;
  headers: [string, string][];
  json: string | null;
}

function queryOf(query: NonNullable<SnippetRequest["query"]>): string {
  const set = Object.entries(query).filter((entry): entry is [string, string | number | boolean] => entry[1] !== undefined);
  if (set.length === 0) return "";
  return `?${new URLSearchParams(set.map(([name, value]) => [name, String(value)])).toString()}`;
}

/** In single quotes nothing is special to a shell but the quote itself. */
function shell(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

function curl(call: Call): string {
  const lines = [`curl -sS${call.method === "GET" ? "" : ` -X ${call.method}`} ${shell(call.url)}`];
  lines.push(`-H "Authorization: Bearer $${KEY}"`);
  for (const [name, value] of call.headers) lines.push(`-H ${shell(`${name}: ${value}`)}`);
  if (call.json !== null) lines.push("-H 'Content-Type: application/json'", `-d ${shell(call.json)}`);
  return lines.join(" \\\n  ");
}

function typescript(call: Call): string {
  const headers = [
    `    Authorization: \`Bearer \${process.env.${KEY}}\`,`,
    ...call.headers.map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)},`),
    ...(call.json === null ? [] : [`    "Content-Type": "application/json",`]),
  ];
  return [
    `const response = await fetch(${JSON.stringify(call.url)}, {`,
    `  method: ${JSON.stringify(call.method)},`,
    "  headers: {",
    ...headers,
    "  },",
    ...(call.json === null ? [] : [`  body: JSON.stringify(${indent(call.json, 2)}),`]),
    "});",
    "if (!response.ok) throw new Error(`${response.status} ${await response.text()}`);",
    call.method === "DELETE" ? "console.log(response.status);" : "console.log(await response.json());",
  ].join("\n");
}

function python(call: Call): string {
  const headers = [
    `    "Authorization": f"Bearer {os.environ['${KEY}']}",`,
    ...call.headers.map(([name, value]) => `    ${JSON.stringify(name)}: ${JSON.stringify(value)},`),
    ...(call.json === null ? [] : [`    "Content-Type": "application/json",`]),
  ];
  return [
    "import json, os, urllib.request",
    "",
    "request = urllib.request.Request(",
    `    ${JSON.stringify(call.url)},`,
    `    method=${JSON.stringify(call.method)},`,
    "    headers={",
    ...headers.map((line) => `    ${line}`),
    "    },",
    ...(call.json === null ? [] : [`    data=json.dumps(${indent(pythonLiteral(JSON.parse(call.json)), 4)}).encode(),`]),
    ")",
    "with urllib.request.urlopen(request) as response:",
    call.method === "DELETE" ? "    print(response.status)" : "    print(json.load(response))",
  ].join("\n");
}

function rust(call: Call): string {
  const method = call.method.toLowerCase();
  const lines = [
    `let key = std::env::var("${KEY}")?;`,
    "let answer = reqwest::Client::new()",
    `    .${method}(${JSON.stringify(call.url)})`,
    "    .bearer_auth(key)",
    ...call.headers.map(([name, value]) => `    .header(${JSON.stringify(name)}, ${JSON.stringify(value)})`),
    ...(call.json === null ? [] : [`    .json(&serde_json::json!(${indent(rustEscapes(call.json), 4)}))`]),
    "    .send()",
    "    .await?",
    "    .error_for_status()?;",
    call.method === "DELETE"
      ? 'println!("{}", answer.status());'
      : 'println!("{}", answer.json::<serde_json::Value>().await?);',
  ];
  return lines.join("\n");
}

function indent(text: string, by: number): string {
  return text.replaceAll("\n", `\n${" ".repeat(by)}`);
}

/** The escapes of JSON that Rust writes in another way: `\\u0001`, `\\b`, `\\f`. */
function rustEscapes(json: string): string {
  return json.replace(/\\(u[0-9a-f]{4}|.)/g, (whole, escape: string) => {
    if (escape.startsWith("u")) return `\\u{${escape.slice(1)}}`;
    return { b: "\\u{8}", f: "\\u{c}" }[escape] ?? whole;
  });
}

/** JSON as a Python literal: `None`, `True` and `False` differ, strings are escaped alike. */
function pythonLiteral(value: unknown, depth = 1): string {
  const pad = "  ".repeat(depth);
  const end = "  ".repeat(depth - 1);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((item) => `${pad}${pythonLiteral(item, depth + 1)},`).join("\n")}\n${end}]`;
  }
  if (typeof value === "object") {
    const members = Object.entries(value);
    if (members.length === 0) return "{}";
    return `{\n${members.map(([k, v]) => `${pad}${JSON.stringify(k)}: ${pythonLiteral(v, depth + 1)},`).join("\n")}\n${end}}`;
  }
  return JSON.stringify(value);
}
