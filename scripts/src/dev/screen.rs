//! What a person sees when the system is up: one screen, every line can be pasted.

use crate::failure::Result;
use crate::layout::Layout;
use crate::stack::Stack;

/// The text after the start.
pub(super) fn ready(layout: &Layout, stack: &Stack, keys: bool) -> Result<String> {
    let mut text = render(
        &stack.base_url,
        stack.secrets.key("admin")?,
        &layout.shown(&stack.state()),
        &layout.shown(&stack.logs()),
        stack.workers.len(),
    );
    text += if keys {
        "\n  keys: q quit, r seed again, t tail, f faults of the simulator on or off"
    } else {
        "\n  end it with Ctrl-C, or from elsewhere: cargo x dev --stop"
    };
    Ok(text)
}

fn render(url: &str, key: &str, state: &str, logs: &str, workers: usize) -> String {
    format!(
        r#"Switchyard is up ({workers} workers, simulator on)
  console  {url}    explorer  {url}/cdn-cgi/explorer/
  state    {state}    logs  {logs}

  # this key signs in to the console; the calls below send it too
  export KEY={key}
  curl -s {url}/api/image-gen/generate -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' -d '{{"prompt":"a lighthouse","instance_id":"development"}}' | tee answer.json
  curl -so image.png "$(grep -o '"image_url":"[^"]*' answer.json | head -1 | cut -d'"' -f4)"
  curl -s {url}/api/config-service/instance/development -H "Authorization: Bearer $KEY"
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_on_one_screen_and_names_url_key_and_commands() {
        let text = render("http://127.0.0.1:1", "sy_k", "target/dev/state", "l", 4);
        assert!(text.lines().count() < 20);
        for part in [
            "Switchyard is up (4 workers",
            "http://127.0.0.1:1/cdn-cgi/explorer/",
            "this key signs in to the console",
            "export KEY=sy_k",
            r#"-d '{"prompt":"a lighthouse","instance_id":"development"}'"#,
        ] {
            assert!(text.contains(part), "{part}");
        }
    }
}
