//! A document is held to what it shows: blocks that fail, answers that are not as expected, keys that are missing.

#![expect(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output};

/// Answers `GET /<status>` with that status and what the caller sent as key.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    base
}

fn answer(mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap())
        .lines()
        .map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let status = first
        .trim_start_matches("GET /")
        .get(..3)
        .unwrap_or("500")
        .to_owned();
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let key = head
        .iter()
        .find_map(|line| line.strip_prefix("Authorization: Bearer "))
        .unwrap_or("none");
    let body = format!(
        "{{\"status\":{status},\"key\":\"{key}\",\"id\":\"0199a1c2-0000-7000-8000-000000000001\"}}"
    );
    let text = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(text.as_bytes());
}

fn document(name: &str, text: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("doctest");
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(format!("{name}.md"));
    std::fs::write(&path, text).unwrap();
    path
}

fn doctest(base: &str, files: &[PathBuf]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_scripts"))
        .args(["doctest", "--base", base])
        .args(files)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("KEY", "own")
        .env("ROOT_KEY", "root")
        .env_remove("USER_KEY")
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

const GOOD: &str = "# Good

```bash
STATUS=201
field() { grep -o \"\\\"$1\\\":\\\"[^\\\"]*\\\"\" | cut -d'\"' -f4; }
```

Variables and functions of one block are there in the next.

```bash
curl -s \"$BASE/$STATUS\" -H \"Authorization: Bearer $KEY\"
```

```json expect
{\"status\":201,\"key\":\"own\",\"id\":\"[uuid]\"}
```

```bash status=404,409
curl -s --fail-with-body \"$BASE/404\"
FOUND=$(curl -s -o /dev/null -w '%{http_code}' \"$BASE/409\")
test \"$FOUND\" = 409
echo kept > file.txt
```

```bash
test \"$(cat file.txt)\" = kept
```

```bash norun reason=\"takes a day\"
false
```
";

#[test]
fn a_good_document_passes_and_its_exceptions_are_listed() {
    let output = doctest(&serve(), &[document("good", GOOD)]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.contains("good.md:29  takes a day")
            && text.contains("4 blocks of 1 documents ran, 1 are marked norun"),
        "{text}"
    );
}

#[test]
fn each_way_to_fail_is_told_with_file_and_line() {
    let base = serve();
    for (name, block, why) in [
        (
            "exit",
            "```bash\necho before\nfalse\necho after\n```\n",
            "out  before",
        ),
        ("pipe", "```bash\nfalse | cat\n```\n", ""),
        (
            "unset",
            "```bash\necho $NOBODY_SET_THIS\n```\n",
            "NOBODY_SET_THIS",
        ),
        (
            "status",
            "```bash\ncurl -s \"$BASE/404\"\n```\n",
            "answered with status 404",
        ),
        (
            "piped",
            "```bash\ncurl -s \"$BASE/500\" | cat\n```\n",
            "answered with status 500",
        ),
        (
            "inner",
            "```bash\nX=$(curl -s \"$BASE/403\")\n```\n",
            "answered with status 403",
        ),
        (
            "other",
            "```bash status=404\ncurl -s \"$BASE/409\"\n```\n",
            "answered with status 409",
        ),
        (
            "unseen",
            "```bash status=404\ncurl -s \"$BASE/200\"\n```\n",
            "no request was answered with status 404",
        ),
        (
            "refused",
            "```bash\ncurl -s http://127.0.0.1:1/\n```\n",
            "no answer",
        ),
        (
            "expect",
            "```bash\ncurl -s \"$BASE/200\"\n```\n```json expect\n{\"status\":201,\"...\":\"...\"}\n```\n",
            "/status: expected 201, got 200",
        ),
        (
            "text",
            "```bash\necho hello\n```\n```json expect\n{}\n```\n",
            "something else than one JSON value",
        ),
        ("syntax", "```bash\nif true\n```\n", ""),
    ] {
        let output = doctest(&base, &[document(name, &format!("# {name}\n\n{block}"))]);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(1), "{name}: {text}");
        assert!(
            text.contains("FAIL") && text.contains(&format!("{name}.md:3")) && text.contains(why),
            "{name}: {text}"
        );
        assert!(!text.contains("out  after"), "{name}: {text}");
    }
}

#[test]
fn one_failing_document_does_not_hide_the_others() {
    let base = serve();
    let bad = document("bad", "```bash\nfalse\n```\n");
    let output = doctest(&base, &[bad, document("fine", GOOD)]);
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("bad.md:1") && text.contains("PASS"), "{text}");
}

#[test]
fn a_document_may_be_written_for_another_key() {
    let base = serve();
    let of = |holder: &str| {
        format!(
            "<!-- doctest key={holder} -->\n```bash\ncurl -s \"$BASE/200\" -H \"Authorization: Bearer $KEY\"\n```\n```json expect\n{{\"key\":\"root\",\"...\":\"...\"}}\n```\n"
        )
    };
    let root = doctest(&base, &[document("root", &of("superadmin"))]);
    assert_eq!(root.status.code(), Some(0), "{}", text(&root));
    let user = doctest(&base, &[document("user", &of("user"))]);
    assert_eq!(user.status.code(), Some(3));
    assert!(text(&user).contains("set USER_KEY"), "{}", text(&user));
}

#[test]
fn a_block_that_cannot_be_read_stops_before_anything_runs() {
    let output = doctest(
        "http://127.0.0.1:1",
        &[document("words", "```bash maybe\ntouch x\n```\n")],
    );
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output).contains("words.md:1: unknown word `maybe`"),
        "{}",
        text(&output)
    );
    let absent = doctest(
        "http://127.0.0.1:1",
        &[PathBuf::from("no-such-document.md")],
    );
    assert_eq!(absent.status.code(), Some(3));
}
