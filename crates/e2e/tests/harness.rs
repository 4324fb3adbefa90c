//! Journey: a stack that goes away tells what was left over, or every other journey would prove less than it says.
//!
//! 1. somebody breaks a vendor's rule and nobody has announced it; 2. the stack that goes away fails its test and names
//!    the rule.

use e2e::{Options, Stack};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[tokio::test]
async fn a_violation_that_nobody_announced_fails_at_the_end() {
    let stack = Stack::start(Options::default());
    let url = format!("{}/openai/v1/models?api_key=sim-ok-acme", stack.sim().url());
    let http = stack.client("");
    http.send(http.request("GET", &url)).await;
    let ended = catch_unwind(AssertUnwindSafe(|| drop(stack)));
    let told = ended.err().and_then(|it| it.downcast::<String>().ok());
    let told = told.map_or_else(String::new, |told| *told);
    assert!(
        told.contains("violation at the simulator") && told.contains("key_in_query"),
        "{told:?}"
    );
}
