//! The documents as pages below `/docs/` of the console: where the `docs` member of every error body leads.
//!
//! In scope: a page for each document and for each error code, a list for each folder without one, the descriptions and schemas that they link
//! to, the Markdown beside each page, `llms.txt`. Out of scope: who serves them (the console's worker, as any file).
//!
//! A page has no script and no style of its own, so the console's content policy holds. Raw HTML of a document is not
//! passed on; a link to a file that is not served is shown as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};

use super::links::resolved;
use super::{codes, markdown};
use crate::digest;
use crate::failure::{Context, Result};
use crate::layout::Layout;

/// The folder of the documents, and the first part of their addresses.
const ROOT: &str = "docs";
/// Colours of the console, light and dark.
const TOKENS: &str = "workers/console/web/src/theme/tokens.css";
const STYLE: &str = include_str!("page.css");
/// Files that are served as they are.
const SERVED: [&str; 2] = ["docs/openapi/", "docs/schemas/"];
/// Served with status 404 for an address below `/docs/` that leads to nothing.
const NOT_FOUND: &str = "docs/404.html";
const NO_SUCH_PAGE: &str = "<h1>No such page</h1>\n<p>It may have moved, or the address is mistyped. All pages are in the menu; every error code is in <a href=\"/docs/errors\">Errors</a>.</p>\n";
/// Folders in the order of the menu, with their headings.
const MENU: [(&str, &str); 4] = [
    ("docs", "Start"),
    ("docs/api", "HTTP API"),
    ("docs/operations", "Operations"),
    ("docs/decisions", "Decisions"),
];

/// Everything that the pages are made of, relative to the repository.
pub fn inputs(layout: &Layout) -> Result<Vec<std::path::PathBuf>> {
    let mut files = digest::files_below(&layout.at(ROOT), &|_| false)?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|end| end == "md" || end == "json")
    });
    files.push(layout.at(TOKENS));
    Ok(files)
}

/// Writes all pages into a folder of the bundle.
pub fn write(layout: &Layout, dist: &Path) -> Result<()> {
    let mut sources = BTreeMap::new();
    for path in digest::files_below(&layout.at(ROOT), &|_| false)? {
        let name = path.strip_prefix(&layout.root).unwrap_or(&path);
        let name = name.display().to_string();
        if super::is_markdown(&name) || served(&name) {
            sources.insert(name, fs::read_to_string(&path).context(path.display())?);
        }
    }
    let tokens = fs::read_to_string(layout.at(TOKENS)).context(TOKENS)?;
    let mut files = rendered(&sources);
    files.insert("docs/style.css".to_owned(), format!("{tokens}\n{STYLE}"));
    for (name, text) in files {
        let path = dist.join(&name);
        let folder = path.parent().unwrap_or(dist);
        fs::create_dir_all(folder).context(folder.display())?;
        fs::write(&path, text).context(path.display())?;
    }
    Ok(())
}

fn served(name: &str) -> bool {
    SERVED.iter().any(|folder| name.starts_with(folder))
}

/// Files of the site by name, from documents and served files by name.
fn rendered(sources: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let titles: BTreeMap<&str, String> = sources
        .iter()
        .filter(|(name, _)| super::is_markdown(name))
        .map(|(name, text)| (name.as_str(), title(text)))
        .collect();
    let folders = super::folders(&sources.keys().cloned().collect());
    let mut files = BTreeMap::new();
    let codes = sources.get(codes::DOCUMENT).map(|text| codes::pages(text));
    for (name, text) in sources
        .iter()
        .chain(codes.iter().flatten().map(|(name, text)| (name, text)))
    {
        files.insert(name.clone(), text.clone());
        if super::is_markdown(name) {
            let body = body(name, text, sources, &folders)
                + &format!("<footer><a href=\"/{name}\">This page as Markdown</a></footer>\n");
            files.insert(file(name), page(name, &title(text), &body, &titles));
        }
    }
    for folder in folders.iter().filter(|it| it.starts_with(ROOT)) {
        let readme = format!("{folder}/README.md");
        if !sources.contains_key(&readme) {
            let body = listing(folder, sources, &titles);
            files.insert(
                format!("{folder}/index.html"),
                page(&readme, &heading(folder), &body, &titles),
            );
        }
    }
    files.insert(
        NOT_FOUND.to_owned(),
        page("", "No such page", NO_SUCH_PAGE, &titles),
    );
    let mut list = String::from("# Switchyard\n\n");
    for (name, title) in &titles {
        let _infallible = writeln!(list, "- [{title}](/{name})");
    }
    files.insert("llms.txt".to_owned(), list);
    files
}

/// `docs/api/README.md` -> `docs/api/index.html`; `docs/errors.md` -> `docs/errors.html`.
fn file(name: &str) -> String {
    let stem = name.strip_suffix(".md").unwrap_or(name);
    let stem = stem
        .strip_suffix("README")
        .map_or_else(|| stem.to_owned(), |folder| format!("{folder}index"));
    format!("{stem}.html")
}

/// The address of a document: `/docs/errors`, `/docs/api/`.
fn address(name: &str) -> String {
    let stem = name.strip_suffix(".md").unwrap_or(name);
    format!("/{}", stem.strip_suffix("README").unwrap_or(stem))
}

fn title(text: &str) -> String {
    let first = text.lines().find_map(|line| line.strip_prefix("# "));
    first
        .unwrap_or("Document")
        .replace('`', "")
        .trim()
        .to_owned()
}

/// `docs/decisions` -> `Decisions`.
fn heading(folder: &str) -> String {
    let known = MENU.iter().find(|(name, _)| *name == folder);
    let last = folder.rsplit('/').next().unwrap_or(folder);
    known.map_or(last, |(_, heading)| heading).to_owned()
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Where a link of a document leads on the site; `None` when what it names is not served.
fn target(
    from: &str,
    link: &str,
    sources: &BTreeMap<String, String>,
    folders: &BTreeSet<String>,
) -> Option<String> {
    if link.starts_with("https://") || link.starts_with("http://") {
        return Some(link.to_owned());
    }
    let (path, anchor) = link
        .split_once('#')
        .map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let name = resolved(from, path)?;
    let to = if sources.contains_key(&name) {
        if super::is_markdown(&name) {
            address(&name)
        } else {
            format!("/{name}")
        }
    } else if name.starts_with(ROOT) && folders.contains(&name) {
        format!("/{name}/")
    } else {
        return None;
    };
    Some(anchor.map_or_else(|| to.clone(), |anchor| format!("{to}#{anchor}")))
}

/// The HTML of a document's text.
fn body(
    name: &str,
    text: &str,
    sources: &BTreeMap<String, String>,
    folders: &BTreeSet<String>,
) -> String {
    let mut anchors = markdown::parse(text).anchors.into_iter();
    let mut links: Vec<bool> = Vec::new();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events = Parser::new_ext(text, options).filter_map(|event| match event {
        Event::Start(Tag::Heading {
            level,
            id,
            classes,
            attrs,
        }) => {
            let id = anchors.next().map(CowStr::from).or(id);
            Some(Event::Start(Tag::Heading {
                level,
                id,
                classes,
                attrs,
            }))
        }
        Event::Start(Tag::Link {
            link_type,
            dest_url,
            title,
            id,
        }) => {
            let to = target(name, &dest_url, sources, folders);
            links.push(to.is_some());
            to.map(|to| {
                Event::Start(Tag::Link {
                    link_type,
                    dest_url: to.into(),
                    title,
                    id,
                })
            })
        }
        Event::End(TagEnd::Link) => links.pop().unwrap_or(false).then_some(event),
        // Comments and the like are for readers of the source.
        Event::Html(_)
        | Event::InlineHtml(_)
        | Event::Start(Tag::HtmlBlock)
        | Event::End(TagEnd::HtmlBlock) => None,
        event => Some(event),
    });
    let mut out = String::new();
    html::push_html(&mut out, events);
    // What scrolls by itself must be reachable without a mouse.
    out.replace("<pre>", "<pre tabindex=\"0\">")
        .replace("<table>", "<div class=\"scrolls\" tabindex=\"0\"><table>")
        .replace("</table>", "</table></div>")
}

/// The page of a folder that has no document of its own.
fn listing(
    folder: &str,
    sources: &BTreeMap<String, String>,
    titles: &BTreeMap<&str, String>,
) -> String {
    let mut out = format!("<h1>{}</h1>\n<ul>\n", escaped(&heading(folder)));
    for name in sources.keys().filter(|name| folder_of(name) == folder) {
        let (to, shown) = titles.get(name.as_str()).map_or_else(
            || {
                (
                    format!("/{name}"),
                    name.rsplit('/').next().unwrap_or(name).to_owned(),
                )
            },
            |title| (address(name), title.clone()),
        );
        let _infallible = writeln!(out, "<li><a href=\"{to}\">{}</a></li>", escaped(&shown));
    }
    out.push_str("</ul>\n");
    out
}

fn page(name: &str, title: &str, body: &str, titles: &BTreeMap<&str, String>) -> String {
    let mut menu = String::new();
    for (folder, heading) in MENU {
        let names: Vec<_> = titles
            .iter()
            .filter(|(it, _)| folder_of(it) == folder)
            .collect();
        if names.is_empty() {
            continue;
        }
        let _infallible = write!(menu, "<h2>{}</h2>\n<ul>\n", escaped(heading));
        for (listed, title) in names {
            let current = if *listed == name {
                " aria-current=\"page\""
            } else {
                ""
            };
            let _infallible = writeln!(
                menu,
                "<li><a href=\"{}\"{current}>{}</a></li>",
                address(listed),
                escaped(title)
            );
        }
        menu.push_str("</ul>\n");
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} · Switchyard</title>\n<link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\">\n<link rel=\"stylesheet\" href=\"/docs/style.css\">\n</head>\n<body>\n<a class=\"skip\" href=\"#main\">Skip to content</a>\n<header><a class=\"brand\" href=\"/docs/\">Switchyard <span>Documents</span></a><a href=\"#menu\" class=\"to-menu\">All pages</a><a href=\"/\">Console</a></header>\n<div class=\"frame\">\n<main id=\"main\" tabindex=\"-1\">\n{body}</main>\n<nav id=\"menu\" aria-label=\"Documents\">\n{menu}</nav>\n</div>\n</body>\n</html>\n",
        escaped(title)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(sources: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = sources
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
        rendered(&owned.collect())
    }

    #[test]
    fn a_document_is_a_page_with_its_anchors_links_and_source() {
        let errors = "# Codes\n\n[own](#rate_limited) [api](api/README.md#x) [folder](decisions/) [file](openapi/a.json) [out](../crates/a/README.md) [web](https://example.com/)\n\n## rate_limited\n\n<script>alert(1)</script>\n\n`<b>`\n\n|a|\n|-|\n|1|\n";
        let files = site(&[
            ("docs/errors.md", errors),
            ("docs/api/README.md", "# API & more\n## x\n"),
            ("docs/decisions/0001-a.md", "# First\n"),
            ("docs/openapi/a.json", "{}"),
        ]);
        let page = &files["docs/errors.html"];
        for part in [
            "<title>Codes · Switchyard</title>",
            "<h2 id=\"rate_limited\">",
            "<a href=\"/docs/errors#rate_limited\">own</a>",
            "<a href=\"/docs/api/#x\">api</a>",
            "<a href=\"/docs/decisions/\">folder</a>",
            "<a href=\"/docs/openapi/a.json\">file</a>",
            "<a href=\"https://example.com/\">web</a>",
            "<code>&lt;b&gt;</code>",
            "<a href=\"/docs/api/\">API &amp; more</a>",
            "<a href=\"/docs/errors\" aria-current=\"page\">Codes</a>",
            "<a href=\"/docs/errors.md\">",
            "<div class=\"scrolls\" tabindex=\"0\"><table>",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert!(
            page.contains(" out ") && !page.contains("crates/a"),
            "{page}"
        );
        assert!(
            !page.contains("<script") && !page.contains("style="),
            "{page}"
        );
        assert_eq!(files["docs/errors.md"], errors);
        assert_eq!(files["docs/openapi/a.json"], "{}");
        assert!(
            files["docs/decisions/index.html"]
                .contains("<a href=\"/docs/decisions/0001-a\">First</a>")
        );
        assert!(
            files["docs/openapi/index.html"]
                .contains("<a href=\"/docs/openapi/a.json\">a.json</a>")
        );
        assert!(files["docs/api/index.html"].contains("<h2 id=\"x\">"));
        let none = &files["docs/404.html"];
        assert!(none.contains("<h1>No such page</h1>") && none.contains("/docs/api/"));
        assert!(!none.contains("as Markdown") && !files["llms.txt"].contains("404"));
        assert!(files["llms.txt"].contains("- [Codes](/docs/errors.md)\n"));
        // A code has its page, which is no folder's: `/docs/errors` stays the page of all of them.
        let code = &files["docs/errors/rate_limited.html"];
        for part in [
            "<title>rate_limited · Switchyard</title>",
            "<h1 id=\"rate_limited\">",
            "<a href=\"/docs/errors#rate_limited\">",
            "<a href=\"/docs/errors/rate_limited.md\">",
            "<a href=\"/docs/api/\">API &amp; more</a>",
        ] {
            assert!(code.contains(part), "{part}\n{code}");
        }
        assert!(files["docs/errors/rate_limited.md"].starts_with("# rate_limited\n"));
        assert!(!files.contains_key("docs/errors/index.html"));
    }

    /// The pages of this repository: each link of them leads to a page and an anchor that is written.
    #[test]
    fn every_link_of_the_real_pages_leads_somewhere() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let layout = Layout {
            root: root.to_owned(),
        };
        let out = crate::scratch::Scratch::new("pages");
        write(&layout, out.path()).unwrap();
        let mut links = 0;
        for path in digest::files_below(out.path(), &|_| false).unwrap() {
            if path.extension().is_none_or(|end| end != "html") {
                continue;
            }
            let page = fs::read_to_string(&path).unwrap();
            for link in page.split("href=\"/docs/").skip(1) {
                let link = link.split('"').next().unwrap();
                let (to, anchor) = link.split_once('#').unwrap_or((link, ""));
                let to = match to {
                    "" => "index.html".to_owned(),
                    to if to.ends_with('/') => format!("{to}index.html"),
                    to if to.contains('.') => to.to_owned(),
                    to => format!("{to}.html"),
                };
                let text = fs::read_to_string(out.path().join("docs").join(&to));
                let text = text.unwrap_or_else(|_| panic!("{link} of {}", path.display()));
                let there = anchor.is_empty() || text.contains(&format!("id=\"{anchor}\""));
                assert!(there, "{link} of {}", path.display());
                links += 1;
            }
        }
        assert!(links > 500, "{links}");
    }

    /// `docs` of an error body is `/docs/errors#<code>`; a person can also ask for `/docs/errors/<code>`.
    #[test]
    fn every_code_has_its_anchor_and_its_page() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = fs::read_to_string(root.join("docs/errors.md")).unwrap();
        let files = site(&[("docs/errors.md", &text)]);
        let headings = text.lines().filter_map(|line| line.strip_prefix("## "));
        let code = |it: &&str| it.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let codes: Vec<_> = headings.filter(code).collect();
        for code in &codes {
            let id = format!("<h2 id=\"{code}\">");
            assert!(files["docs/errors.html"].contains(&id), "{code}");
            let page = &files[&format!("docs/errors/{code}.html")];
            for part in ["Status ", "Meaning: ", "Cause: ", "Cure: "] {
                assert_eq!(page.matches(part).count(), 1, "{code}: {part}");
            }
        }
        assert!(codes.len() > 60, "{codes:?}");
    }
}
