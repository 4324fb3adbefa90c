//! A house full of secrets, and everything that is looked at in it.

use crate::places::{furnished, nothing_runs};
use crate::support::*;
use config_service::routes::routes;
use middleware::testing::{TestApp, TestResponse};
use platform::Random;
use platform::fakes::{Canaries, SqliteDatabase, Watch, encodings};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A provider key with characters that base64, URLs and JSON each write differently.
pub(crate) const PROVIDER: &str = "canary+provider/0123456789=abcdefgh/end";
const WEBHOOK: &str = "canary-webhook-9876543210-zyxwvutsrqponm";

/// The part of an API key that is secret.
fn secret_of(key: &str) -> &[u8] {
    key.as_bytes().get(16..).unwrap()
}

/// The database that every house begins with, and the secrets in it.
pub(crate) struct Template {
    database: SqliteDatabase,
    /// What callers have and may misplace.
    pub(crate) held: Vec<(&'static str, String)>,
}

impl Template {
    /// The furnished house; a live key, a rotated one, a session and a provider key are made by the routes.
    pub(crate) async fn new() -> Self {
        let service = furnished();
        let made = async |key: &str, path: &str, body: &Value, member: &str| {
            let answer = service.post(key, path, body).await;
            assert!(answer.status.is_success(), "{path}: {}", answer.text());
            let id = answer.json()["key_id"].as_str().map(str::to_owned);
            (answer.json()[member].as_str().unwrap().to_owned(), id)
        };
        let new = json!({"user_id": USER_USER, "name": "live", "scopes": ["images:read"]});
        let (live, _) = made(USER, "/api-key", &new, "api_key").await;
        let (previous, id) = made(USER, "/api-key", &new, "api_key").await;
        // A use, so that the rotation does not replace an unused secret.
        service.get(&previous, "/session").await;
        let path = format!("/api-key/{}/rotate", id.unwrap());
        let overlap = json!({"overlap_s": 3_600});
        let (rotated, _) = made(USER, &path, &overlap, "api_key").await;
        let label = json!({"label": "Chromium on Linux"});
        let (session, _) = made(USER, "/session", &label, "key").await;
        let path = "/instance/production/provider-key/ideogram";
        let body = json!({"api_key": PROVIDER, "webhook_secret": WEBHOOK});
        assert!(service.put(ADMIN, path, &body).await.status.is_success());
        service.settle().await;
        let own = |key: &str| key.to_owned();
        let database = service.ports.database.clone();
        service.made_up();
        Self {
            database,
            held: vec![
                ("platform key", own(ROOT)),
                ("admin key", own(ADMIN)),
                ("user key", own(USER)),
                ("project key", own(PROJECT)),
                ("revoked key", own(REVOKED)),
                ("expired key", own(EXPIRED)),
                ("live key", live),
                ("rotated key", rotated),
                ("previous key", previous),
                ("session key", session),
            ],
        }
    }

    /// A search for all secrets of the house and for those that were handed out since.
    pub(crate) fn watch(&self, further: &[(String, String)]) -> Watch {
        let pepper: [u8; 32] = std::array::from_fn(|i| i as u8);
        let held = self.held.iter().map(|(name, key)| (*name, secret_of(key)));
        let further = further
            .iter()
            .map(|(name, key)| (name.as_str(), secret_of(key)));
        Watch::new(Canaries::new(held.chain(further).chain([
            ("provider key", PROVIDER.as_bytes()),
            ("webhook secret", WEBHOOK.as_bytes()),
            ("key-encryption key", &[9; 32]),
            ("pepper", &pepper),
        ])))
    }

    /// All secrets that have the form of a key, in all encodings: name and text.
    pub(crate) fn misplaced(&self) -> Vec<(String, String)> {
        let all = self.held.iter().flat_map(|(name, key)| {
            let texts = encodings(key).into_iter();
            texts.map(move |(encoding, text)| (format!("{name} ({encoding})"), text))
        });
        all.collect()
    }

    /// A house of its own whose log lines are given to `read`.
    pub(crate) fn house(&self, read: impl Fn(&str) + Send + Sync + 'static) -> Service {
        let mut service = Service::on(&self.database, settings("test"));
        nothing_runs(&service);
        // Not the sequence of the template again: its ids are taken.
        service.ports.world.random.fill(&mut [0; 1 << 14]);
        let app = routes().into_app(service.deps.clone());
        service.app = TestApp::read_by(app, &service.deps, read);
        service
    }
}

/// Kind, place, text.
type Seen = (&'static str, String, Vec<u8>);

/// Lines and answers, kept until all secrets are known: an operation may hand out a new one.
#[derive(Clone, Default)]
pub(crate) struct Heap(Arc<Mutex<Vec<Seen>>>);

impl Heap {
    pub(crate) fn put(&self, kind: &'static str, place: &str, text: impl Into<Vec<u8>>) {
        let mut heap = self.0.lock().unwrap();
        heap.push((kind, place.to_owned(), text.into()));
    }

    /// A reader of log lines.
    pub(crate) fn lines(&self) -> impl Fn(&str) + Send + Sync + 'static {
        let heap = self.clone();
        move |line| heap.put("log line", "", line)
    }

    pub(crate) fn shown_to(&self, watch: &Watch) {
        for (kind, place, text) in self.0.lock().unwrap().iter() {
            watch.look(kind, place, text);
        }
    }
}

/// The answer without the key that it hands out, and that key. Only these operations hand one out.
pub(crate) fn handed_out(operation: &str, answer: &TestResponse) -> (Vec<u8>, Option<String>) {
    let member = match operation {
        "create_api_key" | "rotate_api_key" => "api_key",
        "create_session" => "key",
        _ => return (answer.whole(), None),
    };
    let mut body = answer.json();
    let key = body.get(member).and_then(Value::as_str).map(str::to_owned);
    let Some(key) = key.filter(|key| auth::key::parse(key).is_ok()) else {
        return (answer.whole(), None);
    };
    body[member] = Value::Null;
    let mut text = format!("{:?}\n", answer.headers).into_bytes();
    text.extend(body.to_string().into_bytes());
    (text, Some(key))
}
