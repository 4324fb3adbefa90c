//! A short page for each error code, `/docs/errors/<code>`, made from its section of `docs/errors.md`. Pure.

/// The document of all codes.
pub(super) const DOCUMENT: &str = "docs/errors.md";

/// Name and text of each page, in the order of the sections.
pub(super) fn pages(document: &str) -> Vec<(String, String)> {
    let sections = document.split("\n## ").skip(1);
    sections
        .filter_map(|section| {
            let (code, text) = section.split_once('\n')?;
            let code = code.trim();
            is_code(code).then(|| {
                let text = text.trim();
                let page = format!(
                    "# {code}\n\n{text}\n\n[The body of an error answer, and all codes](/{DOCUMENT}#{code})\n"
                );
                (format!("docs/errors/{code}.md"), page)
            })
        })
        .collect()
}

/// Other headings are sentences.
fn is_code(heading: &str) -> bool {
    !heading.is_empty()
        && heading
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_a_page_and_a_heading_that_is_no_code_is_none() {
        let document = "# Codes\n\nBody.\n\n## rate_limited\n\nStatus 429.\n\n- Meaning: x\n\n### Detail\n\ny\n\n## Causes in results\n\nz\n";
        let text = "# rate_limited\n\nStatus 429.\n\n- Meaning: x\n\n### Detail\n\ny\n\n[The body of an error answer, and all codes](/docs/errors.md#rate_limited)\n";
        let page = ("docs/errors/rate_limited.md".to_owned(), text.to_owned());
        assert_eq!(pages(document), [page]);
    }
}
