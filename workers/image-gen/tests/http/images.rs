//! `GET /images/..`: who may read, which part, under which conditions.

use crate::answer::refused;
use crate::support::{OTHER_PROJECT, PROJECT, Stage, request};
use api_types::{PrincipalKind, ProjectId, Scope};
use errors::Code;
use http::Method;
use middleware::testing::TestResponse;
use serde_json::json;

struct Image {
    stage: Stage,
    /// With its signature.
    signed: String,
    path: String,
    bytes: Vec<u8>,
}

async fn image(visibility: &str) -> Image {
    let stage = Stage::new();
    let mut asked = request("ideogram");
    asked["visibility"] = json!(visibility);
    asked["project_id"] = json!(PROJECT);
    let body = stage.post("/generate", asked).await.json();
    let url = body["image_url"].as_str().unwrap();
    let signed = url.strip_prefix("https://api.example.com").unwrap();
    let r2_path = body["r2_path"].as_str().unwrap();
    Image {
        signed: signed.to_owned(),
        path: format!("/images/{r2_path}"),
        bytes: stage.ports.objects.bytes(r2_path).unwrap().to_vec(),
        stage,
    }
}

impl Image {
    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> TestResponse {
        self.send(Method::GET, path, headers).await
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> TestResponse {
        let (app, _) = self.stage.app();
        let mut request = app.request(method, path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let response = request.send().await;
        self.stage.ports.background.drain().await;
        response
    }
}

#[tokio::test]
async fn a_signed_url_gives_the_picture_with_its_headers_and_without_d1() {
    let image = image("private").await;
    let (app, ops) = image.stage.app();
    let response = app.get(&image.signed).send().await;
    assert_eq!(response.status.as_u16(), 200, "{}", response.text());
    assert_eq!(response.body, image.bytes);
    assert_eq!(response.header("content-type"), "image/png");
    assert_eq!(
        response.header("content-length"),
        image.bytes.len().to_string()
    );
    assert_eq!(response.header("accept-ranges"), "bytes");
    assert_eq!(response.header("x-content-type-options"), "nosniff");
    assert_eq!(
        response.header("content-security-policy"),
        "default-src 'none'; sandbox"
    );
    assert_eq!(response.header("cache-control"), "private, max-age=300");
    assert!(response.header("etag").starts_with('"'));
    let count = ops.count();
    assert_eq!((count.d1_queries, count.do_calls, count.r2_ops), (0, 0, 1));
}

#[tokio::test]
async fn private_images_need_a_proof_and_a_wrong_one_is_told() {
    let image = image("private").await;
    refused(&image.get(&image.path, &[]).await, 401, Code::AuthFailed);
    let wrong = image.signed.replace("sig=", "sig=A");
    refused(&image.get(&wrong, &[]).await, 403, Code::UrlInvalid);
    let longer = image.signed.replace("exp=1", "exp=2");
    refused(&image.get(&longer, &[]).await, 403, Code::UrlInvalid);
    image
        .stage
        .ports
        .world
        .clock
        .advance(86_400_000 + 3_600_000);
    refused(&image.get(&image.signed, &[]).await, 403, Code::UrlExpired);
}

#[tokio::test]
async fn a_key_with_access_opens_it_and_others_do_not() {
    let image = image("private").await;
    let bearer = |key: &str| format!("Bearer {key}");
    let own = image
        .get(&image.path, &[("authorization", &bearer(&image.stage.key))])
        .await;
    assert_eq!(own.status.as_u16(), 200, "{}", own.text());
    let writer = image
        .stage
        .further_key(|auth| auth.permissions = vec![Scope::ImagesWrite]);
    let response = image
        .get(&image.path, &[("authorization", &bearer(&writer))])
        .await;
    refused(&response, 403, Code::ScopeMissing);
    for (project, status) in [(PROJECT, 200), (OTHER_PROJECT, 403)] {
        let bound = image.stage.further_key(|auth| {
            auth.kind = PrincipalKind::ProjectKey;
            auth.user = None;
            auth.project_id = Some(ProjectId::parse(project).unwrap());
        });
        let response = image
            .get(&image.path, &[("authorization", &bearer(&bound))])
            .await;
        assert_eq!(
            response.status.as_u16(),
            status,
            "{project} {}",
            response.text()
        );
    }
    let malformed = image
        .get(&image.path, &[("authorization", "Bearer sy_x")])
        .await;
    refused(&malformed, 401, Code::AuthFailed);
}

#[tokio::test]
async fn public_images_are_open_and_cached_for_long() {
    let image = image("public").await;
    let response = image.get(&image.path, &[]).await;
    assert_eq!(response.status.as_u16(), 200);
    assert_eq!(
        response.header("cache-control"),
        "public, max-age=31536000, immutable"
    );
    assert_eq!(response.body, image.bytes);
}

#[tokio::test]
async fn one_range_is_served_and_an_impossible_one_refused() {
    let image = image("private").await;
    let size = image.bytes.len();
    for (range, from, to) in [
        ("bytes=0-9".to_owned(), 0, 10),
        ("bytes=100-".to_owned(), 100, size),
        ("bytes=-7".to_owned(), size - 7, size),
        (format!("bytes=5-{}", size * 2), 5, size),
    ] {
        let response = image.get(&image.signed, &[("range", &range)]).await;
        assert_eq!(response.status.as_u16(), 206, "{range}");
        assert_eq!(response.body, image.bytes[from..to], "{range}");
        assert_eq!(
            response.header("content-range"),
            format!("bytes {from}-{}/{size}", to - 1)
        );
        assert_eq!(response.header("content-length"), (to - from).to_string());
    }
    for range in ["bytes=9-2".to_owned(), format!("bytes={size}-")] {
        let response = image.get(&image.signed, &[("range", &range)]).await;
        refused(&response, 416, Code::RangeNotSatisfiable);
        assert_eq!(response.header("content-range"), format!("bytes */{size}"));
    }
    let several = image
        .get(&image.signed, &[("range", "bytes=0-1,5-6")])
        .await;
    assert_eq!((several.status.as_u16(), several.body.len()), (200, size));
    let unsigned = image.get(&image.path, &[("range", "bytes=0-1")]).await;
    refused(&unsigned, 401, Code::AuthFailed);
}

#[tokio::test]
async fn conditions_are_answered_by_the_entity_tag() {
    let image = image("private").await;
    let etag = image
        .get(&image.signed, &[])
        .await
        .header("etag")
        .to_owned();
    for tags in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let response = image.get(&image.signed, &[("if-none-match", &tags)]).await;
        assert_eq!(
            (response.status.as_u16(), response.body.len()),
            (304, 0),
            "{tags}"
        );
        assert_eq!(response.header("etag"), etag);
    }
    let other = image
        .get(&image.signed, &[("if-none-match", "\"x\"")])
        .await;
    assert_eq!(other.status.as_u16(), 200);
    for (tag, status) in [(etag.as_str(), 206), ("\"x\"", 200)] {
        let headers = [("range", "bytes=0-1"), ("if-range", tag)];
        let response = image.get(&image.signed, &headers).await;
        assert_eq!(response.status.as_u16(), status, "{tag}");
    }
}

#[tokio::test]
async fn head_tells_all_but_the_bytes() {
    let image = image("private").await;
    let response = image.send(Method::HEAD, &image.signed, &[]).await;
    assert_eq!((response.status.as_u16(), response.body.len()), (200, 0));
    assert_eq!(
        response.header("content-length"),
        image.bytes.len().to_string()
    );
    assert_eq!(response.header("content-type"), "image/png");
}

#[tokio::test]
async fn what_is_no_image_of_ours_is_not_found() {
    let image = image("private").await;
    for path in [
        "/images/production/default/missing.png",
        "/images/nobody/default/a.png",
        "/images/production/not-a-project/a.png",
        "/images/production/default/.hidden",
        "/images/production/default/UPPER.png",
        "/images/production/default/a%2Fb.png",
    ] {
        refused(&image.get(path, &[]).await, 404, Code::NotFound);
    }
}

#[tokio::test]
async fn a_url_of_the_answer_opens_the_picture_as_long_as_the_hour_lasts() {
    let image = image("private").await;
    let again = image
        .stage
        .post("/generate", request("ideogram"))
        .await
        .json();
    assert_ne!(again["r2_path"], image.path);
    let response = image.get(&image.signed, &[]).await;
    assert_eq!(response.status.as_u16(), 200);
}

#[tokio::test]
async fn a_public_picture_is_public_whatever_key_comes_along() {
    let image = image("public").await;
    let bearer = |key: &str| format!("Bearer {key}");
    let writer = image
        .stage
        .further_key(|auth| auth.permissions = vec![Scope::ImagesWrite]);
    let elsewhere = image.stage.further_key(|auth| {
        auth.kind = PrincipalKind::ProjectKey;
        auth.user = None;
        auth.project_id = Some(ProjectId::parse(OTHER_PROJECT).unwrap());
    });
    for key in [&image.stage.key, &writer, &elsewhere] {
        let authorization = bearer(key);
        for headers in [
            &[("authorization", authorization.as_str())][..],
            &[
                ("authorization", authorization.as_str()),
                ("range", "bytes=0-9"),
            ],
        ] {
            let response = image.get(&image.path, headers).await;
            assert!(
                response.status.is_success(),
                "{headers:?} {}",
                response.text()
            );
        }
        let response = image
            .send(
                Method::HEAD,
                &image.path,
                &[("authorization", &authorization)],
            )
            .await;
        assert_eq!(response.status.as_u16(), 200);
    }
    // What is no key of ours stays a mistake that the caller is told.
    let malformed = image
        .get(&image.path, &[("authorization", "Bearer sy_x")])
        .await;
    refused(&malformed, 401, Code::AuthFailed);
}

#[tokio::test]
async fn a_key_without_access_learns_nothing_about_what_is_not_there() {
    let image = image("public").await;
    let writer = image
        .stage
        .further_key(|auth| auth.permissions = vec![Scope::ImagesWrite]);
    let missing = image.path.replace(".png", ".gif");
    let response = image
        .get(&missing, &[("authorization", &format!("Bearer {writer}"))])
        .await;
    refused(&response, 403, Code::ScopeMissing);
}
