//! What the checks need of a Markdown text: fences, headings, links, directives. Pure.
//!
//! In scope: the forms that our documents use. Out of scope: rendering, and forms that they do not use (indented code,
//! links over several lines).

use std::collections::BTreeMap;

/// One fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fence {
    /// Line of the opening fence, counted from 1.
    pub(super) line: usize,
    /// What stands behind the opening fence.
    pub(super) info: String,
    /// The lines between, each with its end.
    pub(super) code: String,
}

/// A text, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Markdown {
    /// Blocks in their order.
    pub(super) fences: Vec<Fence>,
    /// The anchors of headings.
    pub(super) anchors: Vec<String>,
    /// Targets of links with their lines.
    pub(super) links: Vec<(usize, String)>,
    /// Comments `<!-- doctest .. -->` with their lines.
    pub(super) directives: Vec<(usize, String)>,
    /// What cannot be read.
    pub(super) problems: Vec<(usize, String)>,
}

/// Takes a text apart.
pub(super) fn parse(text: &str) -> Markdown {
    let mut found = Markdown::default();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut open: Option<(String, usize, Fence)> = None;
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        if let Some((mark, indent, fence)) = &mut open {
            let trimmed = line.trim();
            if trimmed.len() >= mark.len() && trimmed.chars().all(|c| mark.starts_with(c)) {
                found.fences.push(fence.clone());
                open = None;
            } else {
                let spaces = line.len() - line.trim_start_matches(' ').len();
                fence.code.push_str(&line[spaces.min(*indent)..]);
                fence.code.push('\n');
            }
            continue;
        }
        if let Some((mark, indent, info)) = opening(line) {
            let fence = Fence {
                line: number,
                info,
                code: String::new(),
            };
            open = Some((mark, indent, fence));
            continue;
        }
        if let Some(title) = heading(line) {
            let anchor = anchor(title);
            let before = seen.entry(anchor.clone()).or_insert(0);
            found.anchors.push(match *before {
                0 => anchor,
                n => format!("{anchor}-{n}"),
            });
            *before += 1;
        }
        if let Some(directive) = directive(line) {
            found.directives.push((number, directive.to_owned()));
        }
        found.links.extend(links(line).map(|link| (number, link)));
    }
    if let Some((_, _, fence)) = open {
        let problem = "this block is never closed".to_owned();
        found.problems.push((fence.line, problem));
    }
    found
}

/// Mark, indentation and info string of a line that opens a block.
fn opening(line: &str) -> Option<(String, usize, String)> {
    let rest = line.trim_start_matches(' ');
    let first = rest.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let info = rest.trim_start_matches(first);
    let length = rest.len() - info.len();
    let is_fence = length >= 3 && !info.contains(first);
    is_fence.then(|| {
        (
            first.to_string().repeat(length),
            line.len() - rest.len(),
            info.trim().to_owned(),
        )
    })
}

fn heading(line: &str) -> Option<&str> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    ((1..=6).contains(&level) && title.starts_with(' ')).then(|| title.trim())
}

/// The anchor of a heading, as the forges make it: lower case, spaces to hyphens, other marks dropped.
fn anchor(title: &str) -> String {
    title
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            c => c.is_alphanumeric().then_some(c),
        })
        .collect()
}

fn directive(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?;
    inner.trim().strip_prefix("doctest ").map(str::trim)
}

/// Targets of `[text](target)` and of `[name]: target`, outside of code spans.
fn links(line: &str) -> impl Iterator<Item = String> {
    let plain: String = line
        .split('`')
        .enumerate()
        .map(|(at, part)| if at % 2 == 0 { part } else { "" })
        .collect();
    let mut targets: Vec<String> = plain
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .map(|target| target.split(' ').next().unwrap_or_default().to_owned())
        .collect();
    if plain.starts_with('[')
        && let Some((_, target)) = plain.split_once("]: ")
    {
        targets.push(target.trim().to_owned());
    }
    targets.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_line_their_info_and_their_code() {
        let text = "# T\n\n```bash norun reason=\"x\"\nls\n\n# no heading\n```\n- item\n  ~~~json\n  {\"a\":\n    1}\n  ~~~\n";
        let found = parse(text);
        let fence = |line, info: &str, code: &str| Fence {
            line,
            info: info.into(),
            code: code.into(),
        };
        assert_eq!(
            found.fences,
            [
                fence(3, "bash norun reason=\"x\"", "ls\n\n# no heading\n"),
                fence(9, "json", "{\"a\":\n  1}\n"),
            ]
        );
        assert_eq!(found.anchors, ["t"]);
        assert_eq!(parse("a\n```bash\nls\n").problems.len(), 1);
        assert!(parse("```not `a` fence\n").fences.is_empty());
        // A longer fence holds a shorter one.
        assert_eq!(parse("````md\n```bash\n```\n````\n").fences.len(), 1);
    }

    #[test]
    fn anchors_are_those_of_the_forges() {
        let text = "## Create: `POST /organization`\n## `rate_limited`\n## Twice\n### Twice\n#no\n####### no\n";
        assert_eq!(
            parse(text).anchors,
            [
                "create-post-organization",
                "rate_limited",
                "twice",
                "twice-1"
            ]
        );
    }

    #[test]
    fn links_are_found_outside_of_code() {
        let text = "[a](x.md), ![b](y.png \"title\") and `[no](z.md)`\n[ref]: w.md#part\n```text\n[no](q.md)\n```\n";
        let found = parse(text).links;
        assert_eq!(
            found,
            [
                (1, "x.md".to_owned()),
                (1, "y.png".to_owned()),
                (2, "w.md#part".to_owned())
            ]
        );
    }

    #[test]
    fn directives_are_comments_with_our_word() {
        let text = "<!-- doctest key=superadmin -->\n<!-- other -->\n";
        assert_eq!(parse(text).directives, [(1, "key=superadmin".to_owned())]);
    }
}
