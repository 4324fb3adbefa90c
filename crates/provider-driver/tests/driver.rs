//! The driver over fakes: one send a permit, deadlines, repeats of free reads, and a hostile download server.

#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use api_types::{
    ImageOptions, ImageResult, ImageState, JobRef, ProviderName, ProviderSettings, Timestamp,
};
use bytes::Bytes;
use futures_util::StreamExt;
use platform::fakes::{FakeClock, FakeHttp, FakeRandom, FakeReply, World};
use platform::{Clock, SendPhase};
use provider_adapters::{
    Accepted, Advice, FormatContext, ImageAdapter, JobStatus, Kind, ProviderError, Submission,
    registry,
};
use provider_driver::{BufferingReader, Driver, MAX_FILE_BYTES, ProviderSecret, SubmitPermit};
use serde_json::json;

const KEY: &str = "canary-key-4711";
const FILE: &str = "https://ideogram.ai/api/images/ephemeral/a.png?exp=1&sig=2";

struct Bench {
    world: World,
    http: FakeHttp,
    driver: Driver<FakeHttp, FakeClock, FakeRandom>,
}

impl Bench {
    fn new() -> Self {
        let world = World::auto();
        world
            .clock
            .set(Timestamp::parse("2026-11-21T10:00:00Z").unwrap().ms());
        let http = FakeHttp::outside(&world);
        let driver = Driver::new(http.clone(), world.clock.clone(), world.random.clone());
        Self {
            world,
            http,
            driver,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.world.clock.now_ms())
    }

    fn in_ms(&self, ms: i64) -> Timestamp {
        self.now().plus_ms(ms)
    }

    async fn submit(&self, vendor: &str, within_ms: i64) -> Result<Submission, ProviderError> {
        let adapter = adapter(vendor);
        let model = adapter.profile().default_model().unwrap().id.clone();
        let context = FormatContext {
            model: &model,
            job_id: "0199a1c2-0000-7000-8000-000000000001",
            attempt_no: 1,
        };
        let formatted = adapter
            .format_request("a lighthouse", &ImageOptions::default(), &context)
            .unwrap();
        let request = formatted.parts.into_iter().next().unwrap();
        let mut reader = BufferingReader::default();
        self.driver
            .submit_job(
                &adapter,
                permit(),
                request,
                &secret(),
                self.in_ms(within_ms),
                &mut reader,
            )
            .await
    }

    async fn open(&self, url: &str, within_ms: i64) -> Result<Vec<u8>, ProviderError> {
        let mut download = self
            .driver
            .open_result(&adapter("ideogram"), &image(url), self.in_ms(within_ms))
            .await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = download.body.next().await {
            match chunk {
                Ok(chunk) => bytes.extend_from_slice(&chunk),
                Err(error) => {
                    assert_eq!(error.port, "download");
                    return Err(ProviderError::refused(error.cause));
                }
            }
        }
        Ok(bytes)
    }

    fn urls(&self) -> Vec<String> {
        self.http
            .requests()
            .into_iter()
            .map(|request| request.url)
            .collect()
    }
}

fn adapter(vendor: &str) -> ImageAdapter {
    registry::image(
        &ProviderName::parse(vendor).unwrap(),
        &ProviderSettings::default(),
    )
    .unwrap()
}

fn secret() -> ProviderSecret {
    ProviderSecret::of_key(KEY)
}

/// As the vendor itself would give it: an error that certainly was not accepted.
fn permit() -> SubmitPermit {
    SubmitPermit::after(ProviderError::new(Kind::Unavailable, Accepted::No)).unwrap()
}

fn image(url: &str) -> ImageResult {
    ImageResult {
        image_url: Some(url.to_owned()),
        provider: ProviderName::parse("ideogram").unwrap(),
        model: "ideogram-3".to_owned(),
        index: 0,
        blob: None,
        state: ImageState::Ready,
        seed: None,
        revised_prompt: None,
    }
}

fn job(bench: &Bench) -> JobRef {
    JobRef {
        v: 1,
        provider: ProviderName::parse("ideogram").unwrap(),
        adapter: "ideogram".to_owned(),
        api: "v2".to_owned(),
        model: "ideogram-3".to_owned(),
        part: 0,
        weight: 1,
        job_id: "../a b".to_owned(),
        poll_url: None,
        result_url: None,
        cancel_url: None,
        submitted_at: bench.now(),
        expires_at: bench.in_ms(86_400_000),
    }
}

fn accepted() -> FakeReply {
    FakeReply::json(200, &json!({"generation_id":"dGVzdA"}))
}

fn completed() -> FakeReply {
    FakeReply::json(
        200,
        &json!({"generation_id":"x","status":"completed","usage_cost_usd_micros":60_000,"data":[{"url":FILE,"is_image_safe":true}]}),
    )
}

fn picture() -> FakeReply {
    FakeReply::bytes(200, "image/png", Bytes::from_static(b"PNG"))
}

#[tokio::test]
async fn a_submit_carries_the_key_to_the_vendor_and_brings_a_handle() {
    let bench = Bench::new();
    bench.http.reply(accepted());
    let Submission::Accepted { job, .. } = bench.submit("ideogram", 60_000).await.unwrap() else {
        panic!("accepted");
    };
    assert_eq!(
        (job.job_id.as_str(), job.submitted_at),
        ("dGVzdA", bench.now())
    );
    assert_eq!(job.expires_at, bench.in_ms(86_400_000));
    let sent = bench.http.requests().remove(0);
    assert_eq!(sent.headers.get("api-key").unwrap(), KEY);
    assert!(sent.headers.get("api-key").unwrap().is_sensitive());
    assert_eq!(
        (sent.timeout_ms, sent.url.as_str()),
        (
            30_000,
            "https://api.ideogram.ai/v2/image/generate/ideogram-3"
        )
    );
}

#[tokio::test]
async fn a_synchronous_vendor_is_done_under_our_own_id() {
    let bench = Bench::new();
    bench.http.reply(FakeReply::json(200, &json!({"created":1,"data":[{"b64_json":"AQID"}],"usage":{"input_tokens":3,"output_tokens":439,"total_tokens":442}})));
    let Submission::Done { job, result } = bench.submit("openai", 600_000).await.unwrap() else {
        panic!("done");
    };
    assert_eq!(job.job_id, "0199a1c2-0000-7000-8000-000000000001.0");
    assert_eq!(
        (result.cost.usd_micros, result.tokens),
        (Some(13_185), Some(442))
    );
    let sent = bench.http.requests().remove(0);
    assert_eq!(
        sent.headers.get("authorization").unwrap(),
        &format!("Bearer {KEY}")
    );
    assert_eq!(sent.timeout_ms, 120_000, "the provider's own longest wait");
}

#[tokio::test]
async fn one_permit_is_one_send_whatever_comes_back() {
    let replies = [
        FakeReply::status(500),
        FakeReply::status(429),
        FakeReply::status(521),
        FakeReply::status(302).header("location", "https://api.ideogram.ai/elsewhere"),
        FakeReply::failure(SendPhase::MaybeSent, "Network connection lost."),
        FakeReply::failure(SendPhase::NotSent, "refused"),
        FakeReply::bytes(200, "application/json", "{"),
        FakeReply::json(200, &json!({"generation_id":"x"})).cut_after(3),
        FakeReply::json(200, &json!({"generation_id":"x"})).delayed(70_000),
        FakeReply::json(200, &json!({"generation_id":"x"})).dripping(70_000),
    ];
    for vendor in ["ideogram", "openai"] {
        for reply in &replies {
            let bench = Bench::new();
            bench.http.reply(reply.clone());
            bench.http.reply(accepted());
            let failed = bench.submit(vendor, 60_000).await;
            assert!(failed.is_err(), "{vendor} {reply:?}");
            assert_eq!(
                (bench.http.requests().len(), bench.http.unused()),
                (1, 1),
                "{vendor} {reply:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_fault_before_or_after_the_send_says_what_was_accepted() {
    for vendor in ["ideogram", "openai"] {
        let bench = Bench::new();
        bench
            .http
            .reply(FakeReply::failure(SendPhase::NotSent, "before"));
        let before = bench.submit(vendor, 60_000).await.unwrap_err();
        assert_eq!(
            (before.kind, before.accepted),
            (Kind::Unavailable, Accepted::No)
        );
        bench
            .http
            .reply(FakeReply::failure(SendPhase::MaybeSent, "after"));
        let after = bench.submit(vendor, 60_000).await.unwrap_err();
        assert_eq!(
            (after.accepted, after.advice),
            (Accepted::Maybe, Advice::Reconcile)
        );
        bench.http.reply(accepted().delayed(600_000));
        let started = bench.now();
        let late = bench.submit(vendor, 20_000).await.unwrap_err();
        assert_eq!((late.kind, late.accepted), (Kind::Timeout, Accepted::Maybe));
        assert_eq!(
            bench.now().ms() - started.ms(),
            20_000,
            "the deadline, not later"
        );
    }
}

#[tokio::test]
async fn a_cut_answer_that_names_the_job_gives_its_handle() {
    let bench = Bench::new();
    bench.http.reply(
        FakeReply::json(
            200,
            &json!({"generation_id":"dGVzdA","generation_kind":"sampling"}),
        )
        .cut_after(30),
    );
    let error = bench.submit("ideogram", 60_000).await.unwrap_err();
    assert_eq!(
        (error.kind, error.accepted, error.advice),
        (Kind::ContractMismatch, Accepted::Yes, Advice::Reconcile)
    );
    assert_eq!(error.job.unwrap().job_id, "dGVzdA");
}

#[tokio::test]
async fn an_endless_answer_is_cut_and_its_job_kept() {
    let bench = Bench::new();
    let text = format!("{{\"generation_id\":\"dGVzdA\"}}{}", " ".repeat(2 << 20));
    bench
        .http
        .reply(FakeReply::bytes(200, "application/json", text).chunked(65_536));
    let error = bench.submit("ideogram", 60_000).await.unwrap_err();
    assert_eq!(
        (error.kind, error.accepted),
        (Kind::ContractMismatch, Accepted::Yes)
    );
    assert_eq!(error.job.unwrap().job_id, "dGVzdA");
}

#[tokio::test]
async fn with_less_than_a_second_left_nothing_is_sent() {
    let bench = Bench::new();
    for vendor in ["ideogram", "openai"] {
        let error = bench.submit(vendor, 999).await.unwrap_err();
        assert_eq!((error.kind, error.accepted), (Kind::Timeout, Accepted::No));
    }
    let status = bench
        .driver
        .check_status(
            &adapter("ideogram"),
            &job(&bench),
            &secret(),
            bench.in_ms(999),
        )
        .await;
    assert_eq!(status.unwrap_err().kind, Kind::Timeout);
    assert!(bench.open(FILE, 999).await.is_err());
    assert_eq!(bench.http.requests().len(), 0);
}

#[tokio::test]
async fn each_phase_has_its_own_time_within_the_deadline() {
    let bench = Bench::new();
    let adapter = adapter("ideogram");
    for reply in [
        accepted(),
        completed(),
        completed(),
        picture(),
        FakeReply::json(200, &json!({"object":"price_quote"})),
    ] {
        bench.http.reply(reply);
    }
    bench.submit("ideogram", 600_000).await.unwrap();
    bench
        .driver
        .check_status(&adapter, &job(&bench), &secret(), bench.in_ms(600_000))
        .await
        .unwrap();
    bench
        .driver
        .fetch_result(&adapter, &job(&bench), &secret(), bench.in_ms(600_000))
        .await
        .unwrap();
    bench.open(FILE, 600_000).await.unwrap();
    bench
        .driver
        .probe(&adapter, &secret(), bench.in_ms(600_000))
        .await
        .unwrap();
    let times: Vec<u64> = bench
        .http
        .requests()
        .iter()
        .map(|request| request.timeout_ms)
        .collect();
    assert_eq!(times, [30_000, 15_000, 30_000, 60_000, 10_000]);
}

#[tokio::test]
async fn a_status_is_one_get_of_an_escaped_id() {
    let bench = Bench::new();
    bench.http.reply(FakeReply::status(500));
    let error = bench
        .driver
        .check_status(
            &adapter("ideogram"),
            &job(&bench),
            &secret(),
            bench.in_ms(60_000),
        )
        .await
        .unwrap_err();
    assert_eq!(
        (error.accepted, error.advice),
        (Accepted::Yes, Advice::Reconcile)
    );
    assert_eq!(
        bench.urls(),
        ["https://api.ideogram.ai/v2/generations/..%2Fa%20b"]
    );
    bench.http.reply(completed());
    let status = bench
        .driver
        .check_status(
            &adapter("ideogram"),
            &job(&bench),
            &secret(),
            bench.in_ms(60_000),
        )
        .await
        .unwrap();
    assert!(matches!(status, JobStatus::Completed { result: Some(_) }));
    assert_eq!(bench.http.requests().len(), 2);
}

#[tokio::test]
async fn free_reads_are_repeated_three_times_and_no_more() {
    let bench = Bench::new();
    for _ in 0..3 {
        bench.http.reply(FakeReply::status(503));
    }
    bench.http.reply(completed());
    let started = bench.now();
    let result = bench
        .driver
        .fetch_result(
            &adapter("ideogram"),
            &job(&bench),
            &secret(),
            bench.in_ms(60_000),
        )
        .await;
    assert!(result.is_ok());
    let waited = bench.now().ms() - started.ms();
    assert!(
        (2_625..=4_375).contains(&waited),
        "0.5, 1 and 2 s with 25 % jitter: {waited}"
    );
    for _ in 0..5 {
        bench.http.reply(FakeReply::status(503));
    }
    let failed = bench.open(FILE, 60_000).await.unwrap_err();
    assert_eq!(failed.kind, Kind::Unavailable);
    assert_eq!((bench.http.requests().len(), bench.http.unused()), (8, 1));
}

#[tokio::test]
async fn repeats_honour_retry_after_and_stop_at_the_deadline() {
    let bench = Bench::new();
    bench
        .http
        .reply(FakeReply::status(429).header("retry-after", "9"));
    bench.http.reply(picture());
    let started = bench.now();
    assert_eq!(bench.open(FILE, 60_000).await.unwrap(), b"PNG");
    assert_eq!(bench.now().ms() - started.ms(), 9_000);
    bench
        .http
        .reply(FakeReply::status(429).header("retry-after", "9"));
    let started = bench.now();
    assert_eq!(
        bench.open(FILE, 9_500).await.unwrap_err().kind,
        Kind::RateLimited
    );
    assert_eq!(bench.now(), started, "no wait that cannot end in a call");
}

#[tokio::test]
async fn the_key_stays_out_of_downloads_and_errors() {
    let bench = Bench::new();
    bench
        .http
        .reply(FakeReply::status(302).header("location", "/api/images/b.png"));
    bench.http.reply(picture());
    bench.open(FILE, 60_000).await.unwrap();
    for request in bench.http.requests() {
        assert_eq!(
            request
                .headers
                .keys()
                .map(http::HeaderName::as_str)
                .collect::<Vec<_>>(),
            ["accept"]
        );
    }
    assert_eq!(bench.urls()[1], "https://ideogram.ai/api/images/b.png");
    let echo = json!({"error": format!("bad key {KEY} in Bearer {KEY}"), "reject_reason": KEY});
    bench.http.reply(FakeReply::json(401, &echo));
    let error = bench.submit("ideogram", 60_000).await.unwrap_err();
    assert!(!format!("{error:?} {error}").contains(KEY), "{error:?}");
    assert!(error.internal.contains("bad key"), "{}", error.internal);
    bench.http.reply(FakeReply::json(
        200,
        &json!({"status":"failed","failure_reason":KEY}),
    ));
    let status = bench
        .driver
        .check_status(
            &adapter("ideogram"),
            &job(&bench),
            &secret(),
            bench.in_ms(60_000),
        )
        .await;
    assert!(!format!("{status:?}").contains(KEY));
}

#[tokio::test]
async fn only_listed_hosts_are_asked_and_every_redirect_is_checked() {
    let refused = [
        "http://ideogram.ai/a.png",
        "https://evil.example.com/a.png",
        "https://ideogram.ai.evil.example.com/a.png",
        "https://user@ideogram.ai/a.png",
        "https://127.0.0.1/a.png",
        "https://ideogram.ai:8443/a.png",
        "data:image/png;base64,AQID",
        "file:///etc/passwd",
        "",
    ];
    for url in refused {
        let bench = Bench::new();
        let error = bench.open(url, 60_000).await.unwrap_err();
        assert_eq!(
            (error.kind, error.accepted),
            (Kind::ContractMismatch, Accepted::Yes),
            "{url}"
        );
        assert_eq!(bench.http.requests().len(), 0, "{url}");
        let bench = Bench::new();
        bench.http.reply(FakeReply::status(302).header(
            "location",
            if url.is_empty() {
                "//evil.example.com"
            } else {
                url
            },
        ));
        let error = bench.open(FILE, 60_000).await.unwrap_err();
        assert_eq!(error.kind, Kind::ContractMismatch, "{url}");
        assert_eq!(bench.http.requests().len(), 1, "{url}");
    }
    let named = Bench::new()
        .open("https://cdn.example.com/a.png", 60_000)
        .await
        .unwrap_err();
    assert!(named.public.contains("cdn.example.com"), "{}", named.public);
    // Once it is listed the same result can be fetched.
    assert_eq!(named.advice, Advice::Reconcile);
}

#[tokio::test]
async fn three_redirects_are_followed_and_four_are_not() {
    for (redirects, works) in [(3, true), (4, false)] {
        let bench = Bench::new();
        for _ in 0..redirects {
            bench
                .http
                .reply(FakeReply::status(302).header("location", "/next.png"));
        }
        bench.http.reply(picture());
        assert_eq!(bench.open(FILE, 60_000).await.is_ok(), works, "{redirects}");
    }
}

#[tokio::test]
async fn a_hostile_file_server_is_refused() {
    let long = Bytes::from(vec![0_u8; (MAX_FILE_BYTES + 1) as usize]);
    let text = |reply: FakeReply| async {
        let bench = Bench::new();
        bench.http.reply(reply);
        let error = bench.open(FILE, 60_000).await.unwrap_err();
        assert_eq!(bench.http.requests().len(), 1);
        format!("{} {}", error.public, error.internal)
    };
    let announced = picture().header("content-length", &(MAX_FILE_BYTES + 1).to_string());
    assert!(text(announced).await.contains("larger than 33554432 bytes"));
    assert!(
        text(FakeReply::bytes(200, "image/png", long).chunked(1 << 20))
            .await
            .contains("larger than")
    );
    assert!(
        text(FakeReply::bytes(200, "image/png", ""))
            .await
            .contains("empty body")
    );
    assert!(text(FakeReply::status(200)).await.contains("empty body"));
    assert!(
        text(picture().header("content-length", "0"))
            .await
            .contains("empty")
    );
    assert!(
        text(picture().header("content-length", "4"))
            .await
            .contains("shorter than announced")
    );
    assert!(
        text(picture().header("content-length", "2"))
            .await
            .contains("longer than announced")
    );
    assert!(
        text(picture().cut_after(2))
            .await
            .contains("Network connection lost")
    );
    assert!(
        text(picture().chunked(1).dripping(20_001))
            .await
            .contains("no byte for 20000 ms")
    );
}

#[tokio::test]
async fn a_slow_but_steady_file_arrives_and_a_missing_length_is_no_fault() {
    let bench = Bench::new();
    bench.http.reply(picture().chunked(1).dripping(15_000));
    assert_eq!(bench.open(FILE, 120_000).await.unwrap(), b"PNG");
    bench.http.reply(picture().header("content-length", "3"));
    let download = bench
        .driver
        .open_result(&adapter("ideogram"), &image(FILE), bench.in_ms(60_000))
        .await
        .unwrap();
    assert_eq!(
        (download.content_length, download.content_type.as_deref()),
        (Some(3), Some("image/png"))
    );
}

#[tokio::test]
async fn a_file_that_is_gone_is_an_expired_result_at_once() {
    for status in [403, 404, 410] {
        let bench = Bench::new();
        bench.http.reply(FakeReply::status(status));
        let error = bench.open(FILE, 60_000).await.unwrap_err();
        assert_eq!(
            (error.kind, error.billed),
            (Kind::ExpiredResult, Some(api_types::Billed::Yes))
        );
        assert_eq!(bench.http.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_request_to_another_host_never_gets_the_key() {
    let bench = Bench::new();
    let adapter = adapter("ideogram");
    let mut request = adapter.probe_request();
    request.url = "https://api.ideogram.ai.evil.example.com/v2"
        .parse()
        .unwrap();
    let mut reader = BufferingReader::default();
    let error = bench
        .driver
        .submit_job(
            &adapter,
            permit(),
            request,
            &secret(),
            bench.in_ms(60_000),
            &mut reader,
        )
        .await
        .unwrap_err();
    assert_eq!(error.accepted, Accepted::No);
    assert_eq!(bench.http.requests().len(), 0);
}

#[tokio::test]
async fn a_key_that_fits_no_header_is_refused_unsent() {
    let bench = Bench::new();
    let adapter = adapter("ideogram");
    let bad = ProviderSecret::of_key("line\nbreak");
    let error = bench
        .driver
        .probe(&adapter, &bad, bench.in_ms(60_000))
        .await
        .unwrap_err();
    assert_eq!((error.kind, error.accepted), (Kind::Auth, Accepted::No));
    assert_eq!(bench.http.requests().len(), 0);
    bench
        .http
        .reply(FakeReply::json(200, &json!({"object":"price_quote"})));
    bench
        .driver
        .probe(&adapter, &ProviderSecret::of_key(""), bench.in_ms(60_000))
        .await
        .unwrap();
    assert!(!bench.http.requests()[0].headers.contains_key("api-key"));
}
