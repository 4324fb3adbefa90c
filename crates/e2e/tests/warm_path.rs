//! Journey: what a warm request costs in hops, counted by the request event of the real run: for one image, and for three,
//! which take one put each and nothing else more.

use api_types::GenerateResponse;
use e2e::{Options, Stack};
use serde_json::json;

#[tokio::test]
async fn warm_images_take_two_or_three_object_calls_and_a_put_each() {
    let stack = Stack::start(Options::default());
    let admin = stack.admin();
    for (provider, object_calls) in [("openai", 2), ("ideogram", 3)] {
        let body = |word: &str| json!({"prompt": format!("{word} boat"), "provider": provider, "fallback": "none"});
        assert_eq!(admin.generate(body("warming")).await.status, 200);
        for n in [1, 3] {
            // A verdict over 3 s old is confirmed in the background of whoever sees it; these two see it, not the picture.
            for _ in 0..2 {
                let models = admin.request("GET", "/api/image-gen/v1/models");
                let models = models.header("x-instance-id", "development");
                assert_eq!(admin.send(models).await.status, 200);
            }
            let mut asked = body("warm");
            asked["n"] = n.into();
            let answer = admin.generate(asked).await;
            let made: GenerateResponse = answer.read();
            assert_eq!(made.images.len(), n, "{made:?}");
            let event = stack.request_event(&answer.request_id(), "image-gen").await;
            let ops = &event["metadata"]["ops"];
            assert_eq!(ops["do_calls"], object_calls, "{provider}, {n}: {ops}");
            assert_eq!(ops["r2_puts"], n, "{provider}, {n}: {ops}");
            assert_eq!(ops["d1_queries"], 0, "{provider}, {n}: {ops}");
            assert_eq!(ops["service_calls"], 0, "{provider}, {n}: {ops}");
            assert_eq!(ops["kv_ops"], 0, "{provider}, {n}: {ops}");
        }
    }
}
