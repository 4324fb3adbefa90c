//! The liberal local server.

use crate::client::{Sim, dimensions};
use crate::openai::file;
use serde_json::json;

#[test]
fn nearly_anything_is_taken_and_links_are_on_its_own_host() {
    let sim = Sim::real();
    let base = sim.server.base("localai");
    let body = json!({"prompt": "a fox|a hare", "size": "256x128", "step": 9, "mode": 1, "model": "sd-3.5", "n": 2});
    let url = format!("{base}/images/generations");
    let reply = sim
        .try_send("POST", &url, &[], Some(body.to_string().as_bytes()))
        .unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    for index in 0..2 {
        let link = reply.json()["data"][index]["url"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(link.starts_with(&base));
        assert_eq!(dimensions(&sim.get(&link, &[]).body), (256, 128));
    }
    let body = json!({"prompt": "a fox", "response_format": "b64_json", "unheard_of": true});
    let reply = sim
        .try_send("POST", &url, &[], Some(body.to_string().as_bytes()))
        .unwrap();
    assert_eq!(dimensions(&file(&reply, 0)), (512, 512));
    assert!(
        sim.server
            .charges()
            .iter()
            .all(|charge| charge.usd_micros == 0 && charge.account == "local")
    );
    assert_eq!(
        sim.get(&format!("{base}/models"), &[]).json()["data"][0]["id"],
        "sd-3.5"
    );
    assert!(sim.server.violations().is_empty());
}
