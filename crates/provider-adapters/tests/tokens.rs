//! How many tokens a request is taken for before anything is sent: each model that is priced by tokens, in each quality and
//! size, against what the vendor counts.

#![expect(clippy::unwrap_used, reason = "tests")]

use api_types::{
    GenerateRequest, ImageOptions, InstanceConfig, JobCandidate, ProviderName, ProviderSettings,
    Quality, Timestamp,
};
use proptest::prelude::*;
use provider_adapters::capability::{Model, Sizes};
use provider_adapters::{ImageAdapter, PlanRequest, plan, registry};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Model, a day on which it is sold, and the output tokens of one picture: quality, square, 1.5 megapixels.
type Counted = (&'static str, &'static str, &'static [(Quality, u64, u64)]);

const COUNTED: [Counted; 6] = [
    ("gpt-image-2.5-flare", "2026-11-21", NEWEST),
    ("gpt-image-2.5-sunburst", "2026-11-21", NEWEST),
    (
        "gpt-image-2",
        "2026-11-21",
        &[
            (Quality::Draft, 200, 165),
            (Quality::Low, 200, 165),
            (Quality::Medium, 1_767, 1_367),
            (Quality::High, 7_034, 5_500),
        ],
    ),
    ("gpt-image-1.5", "2026-11-21", FIRST),
    ("gpt-image-1", "2026-10-01", FIRST),
    (
        "gpt-image-1-mini",
        "2026-11-21",
        &[
            (Quality::Draft, 272, 408),
            (Quality::Low, 272, 408),
            (Quality::Medium, 1_056, 1_584),
        ],
    ),
];

const NEWEST: &[(Quality, u64, u64)] = &[
    (Quality::Draft, 196, 158),
    (Quality::Low, 196, 158),
    (Quality::Medium, 439, 343),
    (Quality::High, 1_756, 1_372),
    (Quality::Max, 7_024, 5_488),
];

const FIRST: &[(Quality, u64, u64)] = &[
    (Quality::Draft, 272, 408),
    (Quality::Low, 272, 408),
    (Quality::Medium, 1_056, 1_584),
    (Quality::High, 4_160, 6_240),
];

fn adapter(provider: &str, settings: Value) -> ImageAdapter {
    let settings: ProviderSettings = serde_json::from_value(settings).unwrap();
    registry::image(&ProviderName::parse(provider).unwrap(), &settings).unwrap()
}

fn noon(day: &str) -> Timestamp {
    Timestamp::parse(&format!("{day}T12:00:00Z")).unwrap()
}

fn options(quality: Quality, size: &str, n: u32) -> ImageOptions {
    ImageOptions {
        quality: Some(quality),
        size: Some(size.to_owned()),
        n,
        ..ImageOptions::default()
    }
}

fn tokens(
    adapter: &ImageAdapter,
    model: &str,
    options: &ImageOptions,
    bytes: u64,
    day: &str,
) -> u64 {
    let book = adapter.profile().prices();
    book.tokens(model, options, bytes, noon(day)).into()
}

fn sizes(model: &Model) -> Vec<String> {
    match &model.sizes {
        Sizes::List { values } => values.clone(),
        // Free sizes, also outside the list.
        Sizes::Multiple { values, .. } => values
            .iter()
            .cloned()
            .chain(["768x1024", "2048x1024", "512x512", "3840x1280"].map(str::to_owned))
            .collect(),
        Sizes::RatioOnly {} | Sizes::Fixed { .. } => Vec::new(),
    }
}

#[test]
fn each_openai_model_in_each_quality_is_taken_for_at_least_what_the_vendor_counts() {
    let openai = adapter("openai", json!({}));
    let mut models: Vec<&str> = openai
        .capabilities()
        .iter()
        .map(|it| it.id.as_str())
        .collect();
    models.sort_unstable();
    let mut counted: Vec<&str> = COUNTED.iter().map(|row| row.0).collect();
    counted.sort_unstable();
    assert_eq!(models, counted, "a model without its count");
    for (id, day, rows) in COUNTED {
        let model = openai.profile().model(id).unwrap();
        assert_eq!(
            model.qualities,
            rows.iter().map(|row| row.0).collect::<Vec<_>>(),
            "{id}"
        );
        for (quality, square, long) in rows {
            for (size, each) in [
                ("1024x1024", square),
                ("1536x1024", long),
                ("1024x1536", long),
            ] {
                let taken = tokens(&openai, id, &options(*quality, size, 1), 0, day);
                assert!(
                    taken >= *each,
                    "{id} {quality:?} {size}: {taken} for {each}"
                );
                // Not so many that a limit would refuse what fits.
                assert!(
                    taken <= each * 3,
                    "{id} {quality:?} {size}: {taken} for {each}"
                );
            }
        }
    }
}

#[test]
fn in_every_size_the_tokens_are_worth_the_most_that_the_images_can_cost() {
    let openai = adapter("openai", json!({}));
    for (id, day, rows) in COUNTED {
        let model = openai.profile().model(id).unwrap();
        let book = openai.profile().prices();
        let rates = book
            .rows_of(id, noon(day))
            .find_map(|row| row.tokens)
            .unwrap();
        for (quality, size) in rows
            .iter()
            .flat_map(|row| sizes(model).into_iter().map(move |size| (row.0, size)))
        {
            for n in [1, 3, 10] {
                let asked = options(quality, &size, n);
                let upper = book
                    .estimate(id, &asked, 0, noon(day))
                    .unwrap()
                    .upper_usd_micros;
                let taken = i64::try_from(tokens(&openai, id, &asked, 0, day)).unwrap();
                let worth = taken * rates.image_out;
                assert!(worth >= upper * 1_000_000, "{id} {quality:?} {size} {n}");
                // Rounded up once an image.
                let most = upper * 1_000_000 + i64::from(n) * rates.image_out;
                assert!(worth < most, "{id} {quality:?} {size} {n}");
            }
        }
    }
}

#[test]
fn a_vendor_that_is_paid_by_the_image_counts_no_tokens() {
    let ideogram = adapter("ideogram", json!({}));
    for model in ideogram.capabilities() {
        let asked = options(Quality::Medium, "1024x1024", 4);
        assert_eq!(
            tokens(&ideogram, &model.id, &asked, 900, "2026-11-21"),
            0,
            "{}",
            model.id
        );
    }
    // A server of one's own with a price an image is no different.
    let own = adapter(
        "openai",
        json!({"models":[{"id":"sd-3.5","n":[1,4]}],
            "prices":[{"model":"sd-3.5","unit":"image","usd_micros":10,"from":"2026-01-01","basis":"exact"}]}),
    );
    let asked = options(Quality::Low, "1024x1024", 1);
    assert_eq!(tokens(&own, "sd-3.5", &asked, 900, "2026-11-21"), 0);
}

#[test]
fn without_a_price_of_the_image_its_prompt_still_counts() {
    let own = adapter(
        "openai",
        json!({"models":[{"id":"new","n":[1,4]}],
            "prices":[{"model":"new","unit":"million_tokens","tokens":{"text_in":5_000_000,"image_out":30_000_000},"from":"2026-01-01","basis":"exact"}]}),
    );
    let asked = options(Quality::Low, "1024x1024", 2);
    assert_eq!(tokens(&own, "new", &asked, 10, "2026-11-21"), 4);
}

#[test]
fn every_candidate_of_a_plan_carries_its_tokens() {
    let config: InstanceConfig = serde_json::from_value(json!({
        "instance_id":"production","org_id":"0199a1c2-0000-7000-8000-000000000001","config_version":1,
        "providers":{"ideogram":{"credential_state":"set"},"openai":{"credential_state":"set"}},
    }))
    .unwrap();
    let request: GenerateRequest = serde_json::from_value(
        json!({"prompt":"a lighthouse","provider":"ideogram","size":"1024x1024","n":2,"quality":"medium"}),
    )
    .unwrap();
    let planned = plan(
        &PlanRequest::new(&request),
        &config,
        noon("2026-11-21"),
        &BTreeMap::new(),
    );
    let found: Vec<(&str, u32)> = planned
        .candidates
        .iter()
        .map(|candidate| (candidate.provider.as_str(), candidate.tokens))
        .collect();
    // 12 bytes are 4 tokens; 14,487 micro-dollars at 30 dollars a million are 482.9 tokens, twice.
    assert_eq!(found, [("ideogram", 0), ("openai", 4 + 2 * 483)]);
    // A job that was stored before this release has none.
    let mut stored = serde_json::to_value(&planned.candidates[1]).unwrap();
    stored.as_object_mut().unwrap().remove("tokens");
    let read: JobCandidate = serde_json::from_value(stored).unwrap();
    assert_eq!(read.tokens, 0);
}

proptest! {
    #[test]
    fn more_images_and_a_longer_prompt_are_never_fewer_tokens(
        which in 0_usize..6, quality in 0_usize..3, n in 1_u32..10, bytes in 0_u64..130_000
    ) {
        let openai = adapter("openai", json!({}));
        let (id, day, rows) = COUNTED[which];
        let asked = |n| options(rows[quality].0, "1024x1024", n);
        let images = |n| tokens(&openai, id, &asked(n), 0, day);
        prop_assert_eq!(images(n), u64::from(n) * images(1));
        let whole = tokens(&openai, id, &asked(n), bytes, day);
        prop_assert_eq!(whole, images(n) + bytes.div_ceil(3));
    }
}
