//! Journey: what the vendors do wrong, through `POST /generate` on the real runtime, for both adapters.
//!
//! 1. an instance for each fault, so that no breaker and no back-off of one is seen by another; 2. each generation is
//!    answered with its status and code; 3. its job ends as it must, and was sent as often as it may; 4. the simulator's
//!    charges are in the ledger; 5. no rule of a vendor was broken (at the stack's end).

use e2e::{Answer, Client, Options, Stack, until};
use futures_util::future::join_all;
use serde_json::{Value, json};

const GENERATE: &str = "/api/image-gen/generate";
/// The longest that a run may take: a vendor that never answers is given up then.
const RUN_MS: &str = "40000";

/// One fault at one vendor, and everything that must come of it.
struct Cell {
    provider: &'static str,
    scenario: &'static str,
    status: u16,
    /// Code of the answer; empty for a picture.
    code: &'static str,
    /// State of the job in the end.
    state: &'static str,
    /// How often it was sent.
    sends: usize,
    /// How often the vendor charged.
    charges: usize,
}

const fn cell(
    (provider, scenario): (&'static str, &'static str),
    (status, code): (u16, &'static str),
    state: &'static str,
    sends: usize,
    charges: usize,
) -> Cell {
    Cell {
        provider,
        scenario,
        status,
        code,
        state,
        sends,
        charges,
    }
}

#[rustfmt::skip]
const CELLS: [Cell; 13] = [
    cell(("ideogram", "timeout"), (504, "provider_timeout"), "unknown", 1, 1),
    cell(("openai", "timeout"), (504, "provider_timeout"), "unknown", 1, 1),
    cell(("ideogram", "ok"), (200, ""), "succeeded", 1, 1),
    cell(("openai", "ok"), (200, ""), "succeeded", 1, 1),
    // Without another candidate the same provider is asked once more, and never a third time.
    cell(("ideogram", "429"), (429, "rate_limited"), "dead", 2, 0),
    cell(("openai", "429"), (429, "rate_limited"), "dead", 2, 0),
    cell(("ideogram", "unsafe"), (422, "rejected_by_safety"), "failed", 1, 0),
    cell(("openai", "unsafe"), (422, "rejected_by_safety"), "failed", 1, 0),
    // Who makes a job of it may have accepted it; who answers at once has not.
    cell(("ideogram", "500x2"), (502, "outcome_unknown"), "unknown", 1, 0),
    cell(("openai", "500x2"), (502, "provider_error"), "dead", 2, 0),
    cell(("openai", "500x1"), (200, ""), "succeeded", 2, 1),
    // A result that can be fetched again later is not given up; one that came with the answer will not come again.
    cell(("ideogram", "img-truncated"), (502, "outcome_unknown"), "unknown", 1, 1),
    cell(("openai", "img-truncated"), (502, "provider_error"), "dead", 1, 1),
];

/// Instance and account at the simulator.
fn place(cell: &Cell) -> (String, String) {
    let fault = cell.scenario.replace('-', "");
    (
        format!("at-{}-{fault}", cell.provider),
        format!("{}{fault}", cell.provider),
    )
}

async fn generate(admin: &Client, cell: &Cell) -> Answer {
    let (instance_id, _) = place(cell);
    let token = match cell.scenario {
        "ok" => String::new(),
        scenario => format!("sim:{scenario} "),
    };
    let mut body = json!({
        "prompt": format!("{token}a harbour"), "instance_id": instance_id, "provider": cell.provider,
        "fallback": "none",
    });
    if cell.scenario == "timeout" {
        body["timeout_ms"] = json!(2_000);
    }
    admin.post(GENERATE, &body).await
}

/// The job's row, once it is at its end.
async fn end(stack: &Stack, cell: &Cell) -> Vec<String> {
    let (instance_id, _) = place(cell);
    let sql = format!(
        "SELECT state, images_stored, cost, job_id FROM jobs WHERE instance_id = '{instance_id}'"
    );
    until(&format!("the end at {instance_id}"), 90, || async {
        let rows = stack.ledger().rows(&sql);
        let row = rows.into_iter().next()?;
        (!["queued", "running"].contains(&row[0].as_str())).then_some(row)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_both_vendors_ends_as_it_must() {
    let stack = Stack::start(Options {
        vars: vec![("RUN_MS", RUN_MS)],
        expected_errors: vec!["provider_error", "provider_timeout", "outcome_unknown"],
        ..Options::default()
    });
    let admin = stack.admin();
    for cell in &CELLS {
        let (name, account) = place(cell);
        admin
            .make_instance(&name, &format!("sim-ok-{account}"), json!({}))
            .await;
    }
    let answers = join_all(CELLS.iter().map(|cell| generate(&admin, cell))).await;
    let mut wrong = Vec::new();
    for (cell, answer) in CELLS.iter().zip(&answers) {
        let body = answer.json();
        let code = body["error"].as_str().unwrap_or_default();
        let row = end(&stack, cell).await;
        let (_, account) = place(cell);
        let of_account = |items: Vec<Value>| {
            let mine = items.into_iter().filter(|item| item["account"] == account);
            mine.collect::<Vec<_>>()
        };
        let sends = of_account(stack.sim().requests().await);
        let sends = sends.iter().filter(|it| it["method"] == "POST").count();
        let charges = of_account(stack.sim().charges().await);
        let told = (answer.status, code, row[0].as_str(), sends, charges.len());
        let wanted = (cell.status, cell.code, cell.state, cell.sends, cell.charges);
        let pictures = if cell.state == "succeeded" { "1" } else { "0" };
        let charged: i64 = charges
            .iter()
            .filter_map(|charge| charge["usd_micros"].as_i64())
            .sum();
        let booked: i64 = row[2].parse().unwrap_or_default();
        // Of what nobody knows, the most is booked that it can cost.
        let paid = match cell.state {
            "unknown" => booked > 0 && booked >= charged,
            _ => booked == charged,
        };
        if told != wanted || row[1] != pictures || !paid {
            wrong.push(format!(
                "{} {}: {told:?} instead of {wanted:?}, {row:?}, charged {charged}: {body}",
                cell.provider, cell.scenario
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(stack.sim().duplicates().await.is_empty());
}
