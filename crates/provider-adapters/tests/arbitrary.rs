//! No answer of a vendor, however broken, makes an adapter panic or invent a success.

use api_types::{ImageState, ProviderName, ProviderSettings, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use provider_adapters::{
    About, Accepted, Advice, ParseContext, Parsed, Phase, RawResponse, registry,
};

fn json_text() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_filter_map("finite", |number| number
            .is_finite()
            .then(|| number.to_string())),
        prop_oneof![
            Just("pending"),
            Just("completed"),
            Just("failed"),
            Just("blob:0"),
            Just("blob:-1"),
            Just(""),
            Just("https://x"),
            Just("inflight_limit"),
            Just("dGVzdA")
        ]
        .prop_map(|word| format!("\"{word}\"")),
    ];
    let names = prop_oneof![
        Just("generation_id"),
        Just("status"),
        Just("data"),
        Just("url"),
        Just("is_image_safe"),
        Just("seed"),
        Just("error"),
        Just("reject_reason"),
        Just("max_inflight_requests"),
        Just("usage_cost_usd_micros"),
        Just("b64_json"),
        Just("usage"),
        Just("output_tokens"),
        Just("input_tokens"),
        Just("failure_reason"),
        Just("message"),
        Just("code"),
        Just("object"),
        Just("notice"),
    ];
    let tree = leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((names.clone(), inner), 0..6).prop_map(|members| {
                let members: Vec<String> = members
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    (tree, any::<prop::sample::Index>(), 0_u8..4).prop_map(|(text, cut, mode)| {
        let mut bytes = text.into_bytes();
        if mode == 0 {
            let at = cut.index(bytes.len());
            bytes.truncate(at);
        }
        bytes
    })
}

#[test]
fn ten_thousand_arbitrary_answers_are_judged_without_a_panic() {
    let adapters: Vec<_> = ["ideogram", "openai"]
        .into_iter()
        .map(|vendor| {
            registry::image(
                &ProviderName::parse(vendor).unwrap(),
                &ProviderSettings::default(),
            )
            .unwrap()
        })
        .collect();
    let now = Timestamp::parse("2026-11-21T10:00:00Z").unwrap();
    let about = About {
        model: "ideogram-3".to_owned(),
        api: "v2".to_owned(),
        part: 0,
        weight: 3,
        job_id: "j".to_owned(),
        effective: None,
        prompt_bytes: 1,
        submitted_at: Some(now),
        expires_at: Some(now.plus_ms(1)),
    };
    let bodies = prop_oneof![4 => json_text(), 1 => proptest::collection::vec(any::<u8>(), 0..200)];
    let header = prop_oneof![
        Just("retry-after"),
        Just("retry-after-ms"),
        Just("content-type"),
        Just("link"),
        Just("deprecation"),
        Just("x-request-id"),
        Just("x-should-retry"),
    ];
    let headers = proptest::collection::vec((header, "[ -~]{0,30}"), 0..4);
    let status = prop_oneof![Just(200_u16), 100_u16..600];
    let phases = prop_oneof![
        Just(Phase::Submit),
        Just(Phase::Status),
        Just(Phase::Result),
        Just(Phase::Probe)
    ];
    let mut runner = TestRunner::new(Config::with_cases(10_000));
    runner
        .run(
            &(bodies, headers, status, phases),
            |(body, headers, status, phase)| {
                let headers = headers
                    .iter()
                    .filter_map(|(name, value)| {
                        Some((http::HeaderName::from_static(name), value.parse().ok()?))
                    })
                    .collect();
                let response = RawResponse {
                    status,
                    headers,
                    body: body.into(),
                };
                for adapter in &adapters {
                    match adapter.parse_response(
                        phase,
                        &response,
                        &ParseContext { now, about: &about },
                    ) {
                        Ok(Parsed::Done(result)) => {
                            prop_assert_eq!(result.images.len(), 3);
                            prop_assert!(
                                result
                                    .images
                                    .iter()
                                    .any(|image| image.state == ImageState::Ready)
                            );
                            prop_assert!(result.cost.usd_micros.is_none_or(|cost| cost >= 0));
                        }
                        Ok(_) => prop_assert!((200..300).contains(&status) || status == 404),
                        Err(error) => {
                            prop_assert!(error.public.chars().count() <= 300);
                            if error.accepted == Accepted::Maybe {
                                prop_assert_eq!(error.advice, Advice::Reconcile);
                            }
                            if (200..300).contains(&status) && phase == Phase::Submit {
                                prop_assert_eq!(error.accepted, Accepted::Yes);
                            }
                        }
                    }
                }
                Ok(())
            },
        )
        .unwrap();
}
