//! Links between documents lead somewhere: to a file that is there and, where one is named, to a heading in it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::markdown::Markdown;

/// What is wrong with the links of all documents. `files` and `folders` are those of the repository, relative to it.
pub(super) fn problems(
    documents: &BTreeMap<String, Markdown>,
    files: &BTreeSet<String>,
    folders: &BTreeSet<String>,
) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, document) in documents {
        for (line, link) in &document.links {
            if let Some(problem) = problem(name, link, documents, files, folders) {
                problems.push(format!("{name}:{line}: {problem}"));
            }
        }
    }
    problems
}

/// Pages below `docs/` that no other document leads to, neither to them nor to their folder.
pub(super) fn orphans(documents: &BTreeMap<String, Markdown>) -> Vec<String> {
    let mut reached = BTreeSet::new();
    for (name, document) in documents {
        for (_, link) in &document.links {
            let path = link.split('#').next().unwrap_or_default();
            let target = resolved(name, path).filter(|target| target != name);
            reached.extend(target);
        }
    }
    let folder = |name: &str| {
        name.rsplit_once('/')
            .map_or("", |(folder, _)| folder)
            .to_owned()
    };
    documents
        .keys()
        .filter(|name| name.starts_with("docs/"))
        .filter(|name| !reached.contains(*name) && !reached.contains(&folder(name)))
        .map(|name| format!("{name}: no document leads to it"))
        .collect()
}

fn problem(
    from: &str,
    link: &str,
    documents: &BTreeMap<String, Markdown>,
    files: &BTreeSet<String>,
    folders: &BTreeSet<String>,
) -> Option<String> {
    let outside = ["http://", "https://", "mailto:"];
    if outside.iter().any(|start| link.starts_with(start)) {
        return None;
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let Some(target) = resolved(from, path) else {
        return Some(format!("{link} leads out of the repository"));
    };
    if !files.contains(&target) && !folders.contains(&target) {
        return Some(format!("{link} leads to nothing ({target})"));
    }
    let known = documents.get(&target)?;
    let there = anchor.is_empty() || known.anchors.iter().any(|it| it == anchor);
    (!there).then(|| format!("{link}: {target} has no heading #{anchor}"))
}

/// A path beside a document, relative to the repository; `None` when it leads out of it.
pub(super) fn resolved(from: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(from.to_owned());
    }
    let mut parts: Vec<&str> = match path.strip_prefix('/') {
        Some(_) => Vec::new(),
        None => from.split('/').collect(),
    };
    if !path.starts_with('/') {
        parts.pop();
    }
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::super::markdown::parse;
    use super::*;

    #[test]
    fn a_page_that_nobody_links_to_is_told() {
        let documents = BTreeMap::from([
            ("README.md".to_owned(), parse("[docs](docs/README.md)")),
            (
                "docs/README.md".to_owned(),
                parse("[api](api/a.md#x) [why](decisions/)"),
            ),
            ("docs/api/a.md".to_owned(), parse("# X")),
            ("docs/api/b.md".to_owned(), parse("[self](b.md)")),
            ("docs/decisions/0001.md".to_owned(), parse("")),
            ("crates/x/README.md".to_owned(), parse("")),
        ]);
        assert_eq!(
            orphans(&documents),
            ["docs/api/b.md: no document leads to it"]
        );
    }

    #[test]
    fn a_link_leads_to_a_file_a_folder_or_a_heading() {
        let text = "[a](x.md) [b](x.md#part-one) [c](../README.md) [d](decisions/) [e](#own) [f](https://example.com/x.md) [g](/docs/x.md)\n## Own\n";
        let mut documents = BTreeMap::from([
            ("docs/index.md".to_owned(), parse(text)),
            ("docs/x.md".to_owned(), parse("# Part one\n")),
            ("README.md".to_owned(), parse("")),
        ]);
        let files: BTreeSet<String> = documents.keys().cloned().collect();
        let folders = BTreeSet::from(["docs".to_owned(), "docs/decisions".to_owned()]);
        assert_eq!(problems(&documents, &files, &folders), Vec::<String>::new());
        for (link, why) in [
            ("y.md", "docs/index.md:1: y.md leads to nothing (docs/y.md)"),
            (
                "x.md#part",
                "docs/index.md:1: x.md#part: docs/x.md has no heading #part",
            ),
            (
                "#nowhere",
                "docs/index.md:1: #nowhere: docs/index.md has no heading #nowhere",
            ),
            (
                "../../x.md",
                "docs/index.md:1: ../../x.md leads out of the repository",
            ),
        ] {
            documents.insert("docs/index.md".to_owned(), parse(&format!("[a]({link})")));
            assert_eq!(problems(&documents, &files, &folders), [why]);
        }
    }
}
