import { expect, it } from "vitest";
import { LANGUAGES, snippets } from "./snippets";

const request = {
  method: "POST",
  path: "/api/image-gen/generate",
  query: { dry_run: 1, never: undefined },
  headers: { "X-Instance-ID": "production", Authorization: "Bearer sy_real" },
  body: { prompt: "it's a \"test\"", n: 2, hd: true, seed: null, tags: [], o: { a: [1] } },
} as const;
const ORIGIN = "http://127.0.0.1:8787";

it("writes curl, TypeScript, Python and Rust", () => {
  const code = snippets(request, ORIGIN);
  expect(Object.keys(code)).toEqual(LANGUAGES);
  expect(code.curl).toMatchInlineSnapshot(`
    "curl -sS -X POST 'http://127.0.0.1:8787/api/image-gen/generate?dry_run=1' \\
      -H "Authorization: Bearer $SWITCHYARD_KEY" \\
      -H 'X-Instance-ID: production' \\
      -H 'Content-Type: application/json' \\
      -d '{
      "prompt": "it'\\''s a \\"test\\"",
      "n": 2,
      "hd": true,
      "seed": null,
      "tags": [],
      "o": {
        "a": [
          1
        ]
      }
    }'"
  `);
  expect(code.TypeScript).toMatchInlineSnapshot(`
    "const response = await fetch("http://127.0.0.1:8787/api/image-gen/generate?dry_run=1", {
      method: "POST",
      headers: {
        Authorization: \`Bearer \${process.env.SWITCHYARD_KEY}\`,
        "X-Instance-ID": "production",
        "Content-Type": "application/json",
      },
      body: JSON.stringify({
        "prompt": "it's a \\"test\\"",
        "n": 2,
        "hd": true,
        "seed": null,
        "tags": [],
        "o": {
          "a": [
            1
          ]
        }
      }),
    });
    if (!response.ok) throw new Error(\`\${response.status} \${await response.text()}\`);
    console.log(await response.json());"
  `);
  expect(code.Python).toMatchInlineSnapshot(`
    "import json, os, urllib.request

    request = urllib.request.Request(
        "http://127.0.0.1:8787/api/image-gen/generate?dry_run=1",
        method="POST",
        headers={
            "Authorization": f"Bearer {os.environ['SWITCHYARD_KEY']}",
            "X-Instance-ID": "production",
            "Content-Type": "application/json",
        },
        data=json.dumps({
          "prompt": "it's a \\"test\\"",
          "n": 2,
          "hd": True,
          "seed": None,
          "tags": [],
          "o": {
            "a": [
              1,
            ],
          },
        }).encode(),
    )
    with urllib.request.urlopen(request) as response:
        print(json.load(response))"
  `);
  expect(code.Rust).toMatchInlineSnapshot(`
    "let key = std::env::var("SWITCHYARD_KEY")?;
    let answer = reqwest::Client::new()
        .post("http://127.0.0.1:8787/api/image-gen/generate?dry_run=1")
        .bearer_auth(key)
        .header("X-Instance-ID", "production")
        .json(&serde_json::json!({
          "prompt": "it's a \\"test\\"",
          "n": 2,
          "hd": true,
          "seed": null,
          "tags": [],
          "o": {
            "a": [
              1
            ]
          }
        }))
        .send()
        .await?
        .error_for_status()?;
    println!("{}", answer.json::<serde_json::Value>().await?);"
  `);
});

it("shows no key, whatever the headers hold", () => {
  for (const code of Object.values(snippets(request, ORIGIN))) {
    expect(code).toContain("SWITCHYARD_KEY");
    expect(code).not.toContain("sy_real");
  }
});

it("closes a quote of the shell before it writes one", () => {
  const { curl } = snippets({ method: "POST", path: "/x", body: "'; rm -rf /; '" }, ORIGIN);
  expect(curl.split("\n").at(-1)).toBe(`  -d '"'\\''; rm -rf /; '\\''"'`);
});

it("writes control characters as Rust does, and leaves an escaped backslash alone", () => {
  const { Rust } = snippets({ method: "POST", path: "/x", body: "\u0001\b\f\n\\u0001" }, ORIGIN);
  expect(Rust).toContain(String.raw`json!("\u{0001}\u{8}\u{c}\n\\u0001")`);
});

it("reads without a body", () => {
  expect(snippets({ method: "GET", path: "/api/config-service/user", query: { q: "a b" } }, ORIGIN).curl).toBe(
    `curl -sS '${ORIGIN}/api/config-service/user?q=a+b' \\\n  -H "Authorization: Bearer $SWITCHYARD_KEY"`,
  );
});
