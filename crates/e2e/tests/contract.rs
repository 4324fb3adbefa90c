//! Journey: each port keeps its contract on the real runtime; the same functions run against the fakes in `platform`.

use e2e::{Options, Stack};
use serde_json::json;

#[tokio::test]
async fn the_ports_keep_their_contracts_on_the_real_runtime() {
    let stack = Stack::start(Options {
        probe: true,
        ..Options::default()
    });
    let admin = stack.admin();
    for port in [
        "clock",
        "random",
        "kv",
        "objects",
        "database",
        "queue",
        "actors",
        "storage",
        "background",
    ] {
        let answer = admin
            .post(&format!("/api/probe/__probe/contract/{port}"), &json!({}))
            .await;
        assert_eq!(
            answer.status,
            200,
            "{port}: {}",
            String::from_utf8_lossy(&answer.bytes)
        );
        assert_eq!(answer.json()["kept"], true, "{port}: {}", answer.json());
    }
}
