//! What an image cost: what the provider says, else the table's price of what was asked for, else unknown.

use crate::answer::ok;
use crate::support::{Stage, request};
use crate::vendors::Act;
use serde_json::{Value, json};

fn untold(polls: u32) -> Act {
    Act::Charge { each: None, polls }
}

fn four_in_high() -> Value {
    let mut asked = request("ideogram");
    asked["n"] = json!(4);
    asked["quality"] = json!("high");
    asked
}

async fn booked(stage: &Stage) -> Vec<(Option<i64>, String)> {
    stage.pass(5_000).await;
    let rows = stage.rows("SELECT cost, cost_basis FROM usage_logs").await;
    let basis = |row: &platform::Row| row.text("cost_basis").unwrap().to_owned();
    rows.iter()
        .map(|row| (row.int("cost"), basis(row)))
        .collect()
}

#[tokio::test]
async fn a_provider_that_does_not_say_what_it_charged_is_booked_by_the_table() {
    let stage = Stage::new();
    stage.vendors.act([untold(1)]);
    let body = ok(&stage.post("/generate", four_in_high()).await);
    assert_eq!(body["cost_usd_micros"], 360_000);
    assert_eq!(body["cost_basis"], "table");
    assert_eq!(
        booked(&stage).await,
        [(Some(360_000), "table".to_owned())],
        "four images in high quality"
    );
}

#[tokio::test]
async fn a_resumed_job_is_booked_by_the_table_too() {
    let stage = Stage::new();
    stage.vendors.act([untold(6)]);
    let mut asked = four_in_high();
    asked["timeout_ms"] = json!(1_500);
    let response = stage.post("/generate", asked).await;
    assert_eq!(response.status.as_u16(), 504, "{}", response.text());
    stage.pass(120_000).await;
    assert_eq!(booked(&stage).await, [(Some(360_000), "table".to_owned())]);
}

#[tokio::test]
async fn a_price_that_nobody_knows_is_null_and_not_0() {
    let stage = Stage::new();
    stage.configure(|config| config["routing"] = json!({"unknown_price": "allow"}));
    stage.vendors.act([untold(1)]);
    let mut asked = request("ideogram");
    asked["model"] = json!("ideogram-4-transparent");
    asked.as_object_mut().unwrap().remove("size");
    let body = ok(&stage.post("/generate", asked).await);
    assert_eq!(body["cost_usd_micros"], Value::Null);
    assert_eq!(booked(&stage).await, [(None, "table".to_owned())]);
}

#[tokio::test]
async fn a_charge_far_from_the_table_is_a_line() {
    for (each, drift) in [(60_000, false), (62_999, false), (75_000, true)] {
        let stage = Stage::new();
        let charge = Act::Charge {
            each: Some(each),
            polls: 1,
        };
        stage.vendors.act([charge]);
        let (app, _) = stage.app();
        let mut asked = request("ideogram");
        asked["n"] = json!(2);
        let send = app.post("/generate").key(&stage.key).json(&asked).send();
        let body = ok(&send.await);
        assert_eq!(body["cost_usd_micros"], 2 * each);
        let lines = app.lines();
        let told: Vec<&Value> = lines
            .iter()
            .filter(|line| line["message"] == "price_drift")
            .collect();
        assert_eq!(told.len(), usize::from(drift), "{each}");
        for line in told {
            assert_eq!(line["level"], "WARN");
            assert_eq!(line["metadata"]["provider"], "ideogram");
            assert_eq!(line["metadata"]["model"], "ideogram-3");
            assert_eq!(line["metadata"]["table_usd_micros"], 120_000);
            assert_eq!(line["metadata"]["reported_usd_micros"], 150_000);
        }
    }
}
