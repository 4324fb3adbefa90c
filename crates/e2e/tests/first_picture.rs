//! Journey: a new user makes the first picture.
//!
//! The key says who it is. `POST /generate` answers a picture of the asked size. Its URL gives the bytes with type,
//! `ETag` and `Range`. Another prompt gives another picture, with another text in it; another seed gives the same text on
//! another picture. The job tells the same. The cost is in the ledger, once, and equals what the simulator charged. Every
//! hop carried one request id.

use api_types::{CostBasis, GenerateRequest, JobState};
use e2e::{Options, Stack, until};
use std::collections::BTreeSet;

/// What the simulator writes with on a dark field.
const INK: [u8; 3] = [250, 250, 248];

#[expect(clippy::expect_used, reason = "a helper of a test")]
fn pixels(file: &[u8]) -> image::RgbImage {
    image::load_from_memory(file).expect("a picture").to_rgb8()
}

fn square(prompt: &str) -> GenerateRequest {
    GenerateRequest {
        prompt: prompt.to_owned(),
        size: Some("1024x1024".to_owned()),
        ..GenerateRequest::default()
    }
}

/// Where the prompt stands in a picture of the simulator that is dark enough for its white ink: the pixels of full ink,
/// which no field of colours has, above the footer.
fn lettering(file: &[u8]) -> BTreeSet<(u32, u32)> {
    let picture = pixels(file);
    let footer = picture.height() * 9 / 10;
    picture
        .enumerate_pixels()
        .filter(|(_, y, pixel)| *y < footer && pixel.0 == INK)
        .map(|(x, y, _)| (x, y))
        .collect()
}

#[tokio::test]
async fn the_picture_shows_the_prompt() {
    let stack = Stack::start(Options::default());
    let (admin, anonymous) = (stack.admin(), stack.client(""));
    let shown = async |prompt: &str, seed: u32| {
        let seed = Some(seed);
        let request = GenerateRequest {
            seed,
            ..square(prompt)
        };
        let (_, made) = admin.picture(request).await;
        anonymous.get(&made.image_url).await.bytes
    };
    // Navy, so that the ink is white whatever the seed.
    let first = shown("a navy lighthouse", 7).await;
    let other_prompt = shown("a navy fox", 7).await;
    let other_seed = shown("a navy lighthouse", 8).await;
    let text = lettering(&first);
    assert!(text.len() > 1_000, "hardly any text: {}", text.len());
    assert!(text != lettering(&other_prompt), "the same text");
    assert!(pixels(&first) != pixels(&other_seed), "the same picture");
    assert!(text == lettering(&other_seed), "another text");
}

#[tokio::test]
async fn a_prompt_becomes_a_stored_picture_with_its_cost() {
    let stack = Stack::start(Options::default());
    let admin = stack.admin();

    let session = admin.get("/api/config-service/session").await;
    assert_eq!(session.status, 200, "{}", session.json());
    assert_eq!(
        session.json()["role"]
            .as_str()
            .or(session.json()["user"]["role"].as_str()),
        Some("admin")
    );

    let (answer, made) = admin.picture(square("a lighthouse at dawn")).await;
    assert!(made.success);
    assert_eq!(made.metadata.dimensions, "1024x1024");
    assert_eq!(made.metadata.provider.as_str(), "ideogram");
    assert_eq!(made.request_id, answer.request_id());
    assert_eq!(made.cost_basis, CostBasis::Reported);
    assert_eq!(answer.header("x-switchyard-job-id"), made.job_id.as_str());
    assert!(!answer.header("x-ratelimit-remaining-requests").is_empty());

    let url = made.image_url.clone();
    let anonymous = stack.client("");
    let picture = anonymous.get(&url).await;
    assert_eq!(picture.status, 200);
    assert_eq!(picture.header("content-type"), "image/png");
    assert_eq!(picture.header("x-content-type-options"), "nosniff");
    let decoded = image::load_from_memory(&picture.bytes).expect("a picture");
    assert_eq!((decoded.width(), decoded.height()), (1024, 1024));
    assert!(
        picture
            .bytes
            .windows(20)
            .any(|part| part == b"a lighthouse at dawn"),
        "the prompt stands in the file"
    );

    let etag = picture.header("etag").to_owned();
    assert!(etag.starts_with('"'), "{etag}");
    let unchanged = anonymous
        .send(
            anonymous
                .request("GET", &url)
                .header("if-none-match", &etag),
        )
        .await;
    assert_eq!((unchanged.status, unchanged.bytes.len()), (304, 0));
    let part = anonymous
        .send(anonymous.request("GET", &url).header("range", "bytes=0-7"))
        .await;
    assert_eq!(
        (part.status, part.bytes.as_slice()),
        (206, &b"\x89PNG\r\n\x1a\n"[..])
    );
    assert_eq!(
        part.header("content-range"),
        format!("bytes 0-7/{}", picture.bytes.len())
    );
    let tail = anonymous
        .send(anonymous.request("GET", &url).header("range", "bytes=-4"))
        .await;
    assert_eq!(tail.bytes, picture.bytes[picture.bytes.len() - 4..]);
    let wrong = anonymous
        .send(anonymous.request("GET", &url).header("range", "bytes=9-2"))
        .await;
    wrong.expect_error(416, "range_not_satisfiable");
    let head = anonymous.send(anonymous.request("HEAD", &url)).await;
    assert_eq!((head.status, head.header("etag")), (200, etag.as_str()));
    assert_eq!(
        anonymous.get(&url.replace("sig=", "sig=A")).await.status,
        403
    );
    assert_eq!(
        anonymous
            .get(url.split('?').next().unwrap_or_default())
            .await
            .status,
        401
    );

    let (_, other) = admin.picture(square("a fox in snow")).await;
    let other = anonymous.get(&other.image_url).await;
    assert_ne!(
        other.bytes, picture.bytes,
        "the content depends on the prompt"
    );

    let job = admin.ended(&made.job_id, 30).await;
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(job.result.map(|it| it.r2_path), Some(made.r2_path));
    assert_eq!(job.cost_usd_micros, made.cost_usd_micros);

    let charged: i64 = stack
        .sim()
        .charges()
        .await
        .iter()
        .filter_map(|charge| charge["usd_micros"].as_i64())
        .sum();
    assert!(charged > 0);
    until("the usage rows", 30, || async {
        let rows = stack
            .ledger()
            .rows("SELECT count(*), sum(cost) FROM usage_logs WHERE phase = 'charge'");
        rows.iter()
            .any(|row| row[0] == "2" && row[1] == charged.to_string())
            .then_some(())
    })
    .await;

    // The key was new to image-gen, so it has asked config-service. The console, which gave the answer its id, leaves the
    // line of a forwarded request to the worker that serves it.
    for component in ["image-gen", "config-service"] {
        let event = stack.request_event(&answer.request_id(), component).await;
        assert_eq!(event["metadata"]["status"], 200, "{event}");
    }
    // The object writes no line of a command that succeeds; whose it was stands in its row, and in the ledger's.
    let job_id = made.job_id.as_str();
    let request_id = vec![vec![answer.request_id()]];
    let row = format!("SELECT request_id FROM attempts WHERE job_id = '{job_id}'");
    assert_eq!(stack.object_rows(&row), request_id);
    let row = format!("SELECT request_id FROM usage_logs WHERE job_id = '{job_id}'");
    assert_eq!(stack.ledger().rows(&row), request_id);
    let asked = stack.sim().requests().await;
    assert!(asked.iter().any(|request| {
        request["request_id"]
            .as_str()
            .is_some_and(|id| id.starts_with(job_id))
    }));
    assert!(stack.sim().duplicates().await.is_empty());
    assert!(
        stack.sim().violations().await.is_empty(),
        "{:?}",
        stack.sim().violations().await
    );
}
