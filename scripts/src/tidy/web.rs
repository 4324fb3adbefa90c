//! Rules of the web application: who imports whom, length, colours, the network, storage, markup. Pure.
//!
//! In scope: files of `workers/console/web/src` and `workers/console/web/e2e`. Out of scope: what TypeScript and eslint
//! know (`npm run check`).

use std::path::Path;

use crate::web::DIR;

/// Lines of a source file.
const MAX_LINES: usize = 400;
/// Lines of a file in `routes/`: a search schema, a loader and composition.
const MAX_ROUTE_LINES: usize = 120;

/// Folder of `src`, and the folders that it may import besides itself. Files beside the folders start the application
/// and may import all; no folder imports them.
const IMPORTS: &[(&str, &[&str])] = &[
    ("routes", &["features", "ui"]),
    (
        "features",
        &[
            "ui", "api", "charts", "logpane", "live", "format", "keyboard", "theme",
        ],
    ),
    ("ui", &["format"]),
    ("api", &[]),
    ("live", &["api"]),
    ("charts", &["format"]),
    ("logpane", &["format"]),
    ("format", &[]),
    ("keyboard", &[]),
    ("theme", &[]),
];

/// Packages of components and icons, which only `ui` imports: it is what gets rewritten when one of them fails us.
const COMPONENTS: [&str; 3] = ["@cloudflare/kumo", "@base-ui/", "@phosphor-icons/"];

/// Ways out, and the folders that may use them.
const NETWORK: [&str; 3] = ["fetch(", "WebSocket(", "EventSource("];
const NETWORK_IN: [&str; 2] = ["api/", "live/"];
/// What stays in the browser, and the folders that may use it.
const STORAGE: [&str; 2] = ["localStorage", "indexedDB"];
const STORAGE_IN: [&str; 2] = ["theme/", "features/settings/"];
/// Where text becomes markup.
const MARKUP: [&str; 3] = ["dangerouslySetInnerHTML", "innerHTML", "insertAdjacentHTML"];
/// Where colours are named.
const COLOURS_IN: &str = "theme/";
/// Functions of CSS that make a colour from numbers.
const COLOUR_FUNCTIONS: [&str; 8] = [
    "rgb(", "rgba(", "hsl(", "hsla(", "oklch(", "oklab(", "lch(", "lab(",
];
/// Tailwind's palette: `text-gray-500`, `bg-white`.
const PALETTE: [&str; 24] = [
    "slate", "gray", "zinc", "neutral", "stone", "red", "orange", "amber", "yellow", "lime",
    "green", "emerald", "teal", "cyan", "sky", "blue", "indigo", "violet", "purple", "fuchsia",
    "pink", "rose", "black", "white",
];
const PALETTE_UTILITIES: [&str; 20] = [
    "text",
    "bg",
    "border",
    "ring",
    "fill",
    "stroke",
    "from",
    "to",
    "via",
    "outline",
    "decoration",
    "divide",
    "accent",
    "caret",
    "shadow",
    "placeholder",
    "border-t",
    "border-b",
    "border-l",
    "border-r",
];
/// Waiting for a time instead of a state, in browser tests.
const SLEEPS: [&str; 3] = ["waitForTimeout(", "setTimeout(", "sleep("];

/// All problems of one tracked file; none for files that are not the application's.
pub fn problems(file: &str, text: &str) -> Vec<String> {
    let Some(inside) = Path::new(file)
        .strip_prefix(DIR)
        .ok()
        .and_then(Path::to_str)
    else {
        return Vec::new();
    };
    if !is_source(inside) {
        return Vec::new();
    }
    if inside.starts_with("e2e/") {
        let mut problems: Vec<String> = too_long(file, text, MAX_LINES).into_iter().collect();
        problems.extend(sleeps(file, text));
        return problems;
    }
    let Some(inside) = inside.strip_prefix("src/") else {
        return Vec::new();
    };
    let limit = if inside.starts_with("routes/") {
        MAX_ROUTE_LINES
    } else {
        MAX_LINES
    };
    let mut problems: Vec<String> = too_long(file, text, limit).into_iter().collect();
    problems.extend(imports(file, inside, text));
    if !inside.starts_with(COLOURS_IN) {
        problems.extend(colours(file, text));
    }
    let outside = |folders: &[&str]| !folders.iter().any(|folder| inside.starts_with(folder));
    if outside(&NETWORK_IN) {
        let only = "belongs into api/ or live/";
        problems.extend(named(file, text, &NETWORK, only));
    }
    if outside(&STORAGE_IN) {
        let only = "belongs into theme/ or features/settings/";
        problems.extend(named(file, text, &STORAGE, only));
    }
    let never = "makes markup of text; render elements";
    problems.extend(named(file, text, &MARKUP, never));
    problems
}

/// Also as a member of a page: `page.waitForTimeout(500)`.
fn sleeps(file: &str, text: &str) -> Vec<String> {
    code_lines(text)
        .filter(|(_, line)| {
            SLEEPS.iter().any(|name| {
                line.match_indices(name)
                    .any(|(at, _)| !line.get(..at).unwrap_or_default().ends_with(is_word))
            })
        })
        .map(|(number, _)| format!("{file}:{number}: waits for a time; wait for a state"))
        .collect()
}

fn is_source(file: &str) -> bool {
    Path::new(file)
        .extension()
        .is_some_and(|end| ["ts", "tsx", "css"].iter().any(|known| end == *known))
}

fn too_long(file: &str, text: &str, limit: usize) -> Option<String> {
    let lines = text.lines().count();
    (lines > limit).then(|| format!("{file}: {lines} lines, at most {limit}"))
}

/// Lines that use one of the names, as a name of its own.
fn named(file: &str, text: &str, names: &[&str], why: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in code_lines(text) {
        for name in names {
            if uses(line, name) {
                let name = name.trim_end_matches('(');
                problems.push(format!("{file}:{number}: {name} {why}"));
            }
        }
    }
    problems
}

/// Lines with their numbers, without those that are comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| {
            let line = line.trim_start();
            !["//", "/*", "* ", "*/"]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .map(|(index, line)| (index + 1, line))
}

/// `fetch(` in `refetch(` or `ports.fetch(` is another thing; in `window.fetch(` it is the same.
fn uses(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + name.len()..).unwrap_or_default();
        let ends = name.ends_with('(') || !after.starts_with(is_word);
        let global = ["window.", "globalThis.", "self."]
            .iter()
            .any(|object| before.ends_with(object));
        let own = !before.ends_with(|c: char| is_word(c) || c == '.');
        // A member of any element is markup all the same.
        ends && (own || global || MARKUP.contains(&name) && before.ends_with('.'))
    })
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

/// Texts that the file imports from, with line numbers.
fn specifiers(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in code_lines(text) {
        for lead in ["from ", "import ", "import(", "vi.mock("] {
            for (at, _) in line.match_indices(lead) {
                let before = line.get(..at).unwrap_or_default();
                let rest = line.get(at + lead.len()..).unwrap_or_default();
                let quote = rest.chars().next();
                if before.ends_with(is_word) || !matches!(quote, Some('"' | '\'')) {
                    continue;
                }
                let inner = rest.get(1..).unwrap_or_default();
                if let Some(end) = inner.find(['"', '\'']) {
                    found.push((number, inner.get(..end).unwrap_or_default().to_owned()));
                }
            }
        }
    }
    found
}

/// Where a relative import leads.
#[derive(Debug, PartialEq, Eq)]
enum Goal {
    /// Below `src`: `ui/Button`.
    Inside(String),
    /// A document of the repository, as text: the application explains errors in the documents' words.
    Document,
    /// Anything else of the repository.
    Outside(String),
}

/// `../../ui` in `src/features/play/x.tsx` is `ui`; `None` for packages.
fn goal(file: &str, specifier: &str) -> Option<Goal> {
    if !specifier.starts_with('.') {
        return None;
    }
    let mut parts: Vec<&str> = file.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Some(Goal::Outside(specifier.to_owned()));
                }
            }
            name => parts.push(name),
        }
    }
    let path = parts.join("/");
    let inside = path
        .strip_prefix(DIR)
        .and_then(|rest| rest.strip_prefix("/src/"));
    Some(match inside {
        Some(inside) => Goal::Inside(inside.to_owned()),
        None if path.starts_with("docs/") && path.ends_with("?raw") => Goal::Document,
        None => Goal::Outside(path),
    })
}

/// The area of a feature: `features/play/x` -> `features/play`.
fn area(path: &str) -> &str {
    match path.match_indices('/').nth(1) {
        Some((at, _)) => path.get(..at).unwrap_or(path),
        None => path,
    }
}

fn folder(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

fn imports(file: &str, inside: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let own = folder(inside);
    let is_root = !inside.contains('/');
    let allowed = IMPORTS.iter().find(|(name, _)| *name == own);
    if !is_root && allowed.is_none() {
        problems.push(format!("{file}: src/{own} is no folder of the application"));
    }
    for (number, specifier) in specifiers(text) {
        let component = COMPONENTS
            .iter()
            .any(|package| specifier.starts_with(package));
        if component && own != "ui" {
            problems.push(format!("{file}:{number}: only ui/ imports {specifier}"));
        }
        let Some((_, may)) = allowed else { continue };
        let (fine, shown) = match goal(file, &specifier) {
            None | Some(Goal::Document) => continue,
            Some(Goal::Outside(path)) => (false, path),
            Some(Goal::Inside(path)) if folder(&path) == own => {
                (own != "features" || area(&path) == area(inside), path)
            }
            Some(Goal::Inside(path)) => (may.contains(&folder(&path)), path),
        };
        if !fine {
            let from = if own == "features" { area(inside) } else { own };
            problems.push(format!("{file}:{number}: {from} may not import {shown}"));
        }
    }
    problems
}

fn colours(file: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (number, line) in code_lines(text) {
        let found = hex_colour(line)
            .or_else(|| {
                COLOUR_FUNCTIONS
                    .iter()
                    .find(|it| uses(line, it))
                    .map(|it| (*it).to_owned())
            })
            .or_else(|| palette_class(line));
        if let Some(found) = found {
            problems.push(format!(
                "{file}:{number}: {} is a colour; name a token of theme/",
                found.trim_end_matches('(')
            ));
        }
    }
    problems
}

/// `#fff`, `#1a2b3c`, `#1a2b3c80`.
fn hex_colour(line: &str) -> Option<String> {
    line.match_indices('#').find_map(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let digits: String = line
            .get(at + 1..)?
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let hex = digits.chars().all(|c| c.is_ascii_hexdigit());
        // `url(#abc)` and `&#39;` are none.
        let reference =
            before.ends_with("url(") || before.ends_with('&') || before.ends_with(is_word);
        (hex && [3, 4, 6, 8].contains(&digits.len()) && !reference).then(|| format!("#{digits}"))
    })
}

/// `text-gray-500`, `hover:bg-white`.
fn palette_class(line: &str) -> Option<String> {
    line.split(|c: char| !(is_word(c) || c == '-'))
        .find(|word| {
            PALETTE_UTILITIES.iter().any(|utility| {
                let rest = word
                    .strip_prefix(utility)
                    .and_then(|rest| rest.strip_prefix('-'));
                rest.is_some_and(|rest| {
                    let (name, shade) = rest.split_once('-').unwrap_or((rest, "500"));
                    PALETTE.contains(&name) && shade.bytes().all(|b| b.is_ascii_digit())
                })
            })
        })
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(inside: &str, text: &str) -> Vec<String> {
        let file = format!("{DIR}/{inside}");
        let found = problems(&file, text);
        let prefix = format!("{file}:");
        found
            .into_iter()
            .map(|problem| problem.trim_start_matches(&prefix).trim().to_owned())
            .collect()
    }

    #[test]
    fn other_files_have_other_rules() {
        let bad = "localStorage.x; fetch('/x'); el.innerHTML = '#ffffff'";
        for file in ["src/main.ts", "crates/auth/src/key.rs", "docs/x.ts"] {
            assert!(problems(file, bad).is_empty(), "{file}");
        }
        assert!(at("src/x.svg", bad).is_empty());
        assert!(at("vite.config.ts", bad).is_empty());
    }

    #[test]
    fn the_import_column_holds() {
        for (file, line, problem) in [
            (
                "src/routes/play.tsx",
                "import { P } from \"../features/play\";",
                "",
            ),
            ("src/routes/play.tsx", "import { r } from \"./__root\";", ""),
            (
                "src/routes/play.tsx",
                "import { get } from '../api/client';",
                "1: routes may not import api/client",
            ),
            (
                "src/features/play/Form.tsx",
                "import { B } from \"../../ui\";",
                "",
            ),
            (
                "src/features/play/Form.tsx",
                "import { m } from \"./model\";",
                "",
            ),
            (
                "src/features/play/Form.tsx",
                "import { m } from \"../logs/model\";",
                "1: features/play may not import features/logs/model",
            ),
            (
                "src/features/play/parts/Form.tsx",
                "import { m } from \"../../../features/logs\";",
                "1: features/play may not import features/logs",
            ),
            (
                "src/features/play/Form.tsx",
                "import { r } from \"../../routes/play\";",
                "1: features/play may not import routes/play",
            ),
            (
                "src/ui/Copy.tsx",
                "import { short } from \"../format/ids\";",
                "",
            ),
            (
                "src/ui/Copy.tsx",
                "import { useSession } from \"../api/session\";",
                "1: ui may not import api/session",
            ),
            (
                "src/live/channel.ts",
                "import { e } from \"../api/errors\";",
                "",
            ),
            (
                "src/api/client.ts",
                "import { b } from \"../format/bytes\";",
                "1: api may not import format/bytes",
            ),
            (
                "src/api/client.ts",
                "const late = await import(\"../ui/Toast\");",
                "1: api may not import ui/Toast",
            ),
            (
                "src/format/money.ts",
                "export { x } from '../router';",
                "1: format may not import router",
            ),
            (
                "src/format/money.ts",
                "import \"../../../src/lib\";",
                "1: format may not import workers/console/src/lib",
            ),
            ("src/main.tsx", "import { router } from \"./router\";", ""),
            (
                "src/main.tsx",
                "import { App } from \"./features/frame\";",
                "",
            ),
            (
                "src/helpers/x.ts",
                "import { useState } from \"react\";",
                "src/helpers is no folder of the application",
            ),
        ] {
            let found = at(file, line);
            let expected: Vec<&str> = [problem].into_iter().filter(|it| !it.is_empty()).collect();
            assert_eq!(found, expected, "{file} {line}");
        }
    }

    #[test]
    fn components_and_icons_come_by_ui_only() {
        for package in [
            "@base-ui/react/dialog",
            "@phosphor-icons/react",
            "@cloudflare/kumo",
        ] {
            let line = format!("import {{ X }} from \"{package}\";");
            assert!(at("src/ui/Dialog.tsx", &line).is_empty(), "{package}");
            assert_eq!(
                at("src/features/play/Form.tsx", &line),
                [format!("1: only ui/ imports {package}")]
            );
            assert_eq!(at("src/main.tsx", &line).len(), 1);
        }
    }

    #[test]
    fn long_files_are_found() {
        let lines = |count: usize| "x;\n".repeat(count);
        assert!(at("src/features/play/a.ts", &lines(400)).is_empty());
        assert_eq!(
            at("src/features/play/a.ts", &lines(401)),
            ["401 lines, at most 400"]
        );
        assert!(at("src/routes/a.tsx", &lines(120)).is_empty());
        assert_eq!(at("src/routes/a.tsx", &lines(121)).len(), 1);
        assert_eq!(at("e2e/a.test.ts", &lines(401)).len(), 1);
    }

    #[test]
    fn colours_are_named_in_the_theme_only() {
        for colour in [
            "color: #fff;",
            "\"#1A2b3c\"",
            "background:#1a2b3c80",
            "rgb(1 2 3)",
            "rgba(0,0,0,.5)",
            "oklch(0.6 0.1 200)",
            "hsl(1deg 1% 1%)",
            "className=\"text-gray-500\"",
            "className=\"p-2 hover:bg-white\"",
            "class: 'dark:border-zinc-800/50'",
        ] {
            assert_eq!(at("src/ui/Button.tsx", colour).len(), 1, "{colour}");
            assert!(at("src/theme/tokens.css", colour).is_empty(), "{colour}");
        }
        for fine in [
            "className=\"text-muted bg-surface border-line\"",
            "className=\"text-balance to-top bg-redacted\"",
            "href=\"#main\"",
            "`#L120`",
            "url(#abc)",
            "issue#123",
            "&#39;",
            "<use href=\"#a-b-c-d\" />",
            "color: var(--text)",
            "color-mix(in oklab, var(--a), var(--b))",
            "// #fff in a comment",
        ] {
            assert!(at("src/ui/Button.tsx", fine).is_empty(), "{fine}");
        }
    }

    #[test]
    fn only_api_and_live_talk_to_the_network() {
        for call in [
            "await fetch(\"/x\")",
            "window.fetch(url)",
            "globalThis.fetch(url)",
            "new WebSocket(url)",
            "new window.EventSource(url)",
            "void(fetch(x))",
        ] {
            assert_eq!(at("src/features/play/a.ts", call).len(), 1, "{call}");
            assert_eq!(at("src/ui/a.ts", call).len(), 1, "{call}");
            assert!(at("src/api/a.ts", call).is_empty(), "{call}");
            assert!(at("src/live/a.ts", call).is_empty(), "{call}");
        }
        for other in [
            "query.refetch()",
            "refetch()",
            "ports.fetch(x)",
            "// fetch(x)",
        ] {
            assert!(at("src/features/play/a.ts", other).is_empty(), "{other}");
        }
    }

    #[test]
    fn browsers_store_the_theme_and_the_settings_only() {
        for call in [
            "localStorage.getItem(\"x\")",
            "window.localStorage[k]",
            "indexedDB.open(\"x\")",
        ] {
            assert_eq!(at("src/features/play/a.ts", call).len(), 1, "{call}");
            assert_eq!(at("src/api/a.ts", call).len(), 1, "{call}");
            assert!(at("src/theme/theme.ts", call).is_empty(), "{call}");
            assert!(at("src/features/settings/a.ts", call).is_empty(), "{call}");
        }
    }

    #[test]
    fn text_never_becomes_markup() {
        for sink in [
            "<p dangerouslySetInnerHTML={{ __html: x }} />",
            "node.innerHTML = x;",
            "node.insertAdjacentHTML(\"beforeend\", x);",
        ] {
            for file in ["src/ui/a.tsx", "src/theme/a.ts", "src/api/a.ts"] {
                assert_eq!(at(file, sink).len(), 1, "{sink}");
            }
        }
    }

    #[test]
    fn browser_tests_wait_for_states() {
        for sleep in [
            "await page.waitForTimeout(500);",
            "await new Promise((done) => setTimeout(done, 500));",
            "await sleep(500);",
        ] {
            let found = at("e2e/a.test.ts", sleep);
            assert_eq!(found.len(), 1, "{sleep}");
        }
        assert!(at("e2e/a.test.ts", "await page.waitForURL(\"/play\");").is_empty());
    }
}
