//! Promises of the key-value store.

use super::{Verdict, equal, refusal, step};
use crate::KvStore;

/// Runs on keys that start with `unique`, which must be new in each run.
pub async fn kv(kv: &impl KvStore, unique: &str) -> Verdict {
    let key = format!("{unique}/a");
    let read = step("get of a missing key", kv.get(&key, 60).await)?;
    equal("a missing key is none", &read, &None)?;

    // Another key: a miss may be cached for as long as a value.
    let key = format!("{unique}/b");
    let text = "{\"n\":9007199254740993,\"t\":\"ä\u{1F600}\"}";
    step("put", kv.put(&key, text, None).await)?;
    let read = step("get", kv.get(&key, 30).await)?;
    equal(
        "a value comes back unchanged",
        &read.as_deref(),
        &Some(text),
    )?;

    let key = format!("{unique}/c");
    step("put with expiry", kv.put(&key, "", Some(60)).await)?;
    let read = step("get", kv.get(&key, 60).await)?;
    equal("the empty text is a value", &read.as_deref(), &Some(""))?;
    refusal(
        "an expiry under 60 s is refused",
        kv.put(&key, "x", Some(59)).await,
    )?;

    let key = format!("{unique}/d");
    step("put", kv.put(&key, "x", None).await)?;
    step("delete", kv.delete(&key).await)?;
    step("delete of a missing key", kv.delete(&key).await)?;
    let read = step("get of a deleted key", kv.get(&key, 60).await)?;
    equal("a deleted key that nobody read is none", &read, &None)?;

    refusal("a cache TTL under 30 s is refused", kv.get(&key, 29).await)?;
    refusal("the empty key is refused", kv.put("", "x", None).await)?;
    Ok(())
}
