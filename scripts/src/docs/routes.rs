//! Every route of every OpenAPI document is named in `docs/api` or `docs/operations`, as `METHOD /path`. Pure.
//!
//! Pages and their assets (HTML, styles) are no API: operations whose good answers are only those are left out.

use serde_json::Value;

const METHODS: [&str; 6] = ["get", "put", "post", "delete", "patch", "head"];

/// Operations of one OpenAPI document that no page names. `pages` is the text of all of them.
pub(super) fn unnamed(worker: &str, openapi: &Value, pages: &str) -> Vec<String> {
    let Some(paths) = openapi.get("paths").and_then(Value::as_object) else {
        return vec![format!("docs/openapi/{worker}.json has no paths")];
    };
    let mut missing = Vec::new();
    for (path, operations) in paths {
        for method in METHODS {
            let Some(operation) = operations.get(method) else {
                continue;
            };
            let name = format!("{} {path}", method.to_uppercase());
            if is_api(operation) && !names(pages, &name) {
                missing.push(format!(
                    "no page of docs/api or docs/operations names `{name}` of {worker}"
                ));
            }
        }
    }
    missing
}

fn is_api(operation: &Value) -> bool {
    let good = operation
        .get("responses")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(status, _)| status.starts_with('2'));
    let kinds: Vec<&String> = good
        .filter_map(|(_, answer)| answer.get("content")?.as_object())
        .flat_map(|content| content.keys())
        .collect();
    let page = |kind: &&String| matches!(kind.as_str(), "text/html" | "text/css");
    kinds.is_empty() || !kinds.iter().all(page)
}

/// Whether the name stands in the text and does not go on as a longer path.
fn names(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let next = text
            .get(at + name.len()..)
            .and_then(|rest| rest.chars().next());
        next.is_none_or(|c| !(c.is_ascii_alphanumeric() || "/-_{".contains(c)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_route_that_no_page_names_is_told() {
        let openapi = json!({"paths": {
            "/worker": {"get": {}, "parameters": []},
            "/worker/{name}": {"get": {}, "put": {}},
            "/": {"get": {"responses": {"200": {"content": {"text/html": {}}}, "503": {"content": {"application/json": {}}}}}},
            "/file": {"get": {"responses": {"200": {"content": {"image/png": {}}}}}},
        }});
        let pages =
            "## `GET /worker?health`\n`GET /worker/{name}`, `PUT /worker/{name}/check`, GET /files";
        assert_eq!(
            unnamed("w", &openapi, pages),
            [
                "no page of docs/api or docs/operations names `PUT /worker/{name}` of w",
                "no page of docs/api or docs/operations names `GET /file` of w",
            ]
        );
        assert_eq!(unnamed("w", &json!({}), pages).len(), 1);
    }
}
