//! The console's own routes in process, and the gateway's decisions on every form of path.

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use console::gateway::{Decision, Gateway, Head, PROBE, WORKERS, decide};
    use console::{Deps, Upstream, headers, routes};
    use errors::Code;
    use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
    use middleware::testing::TestApp;
    use platform::SendPhase;
    use platform::fakes::{FakeHttp, FakePorts, FakeReply, World};
    use proptest::prelude::*;
    use serde_json::json;

    const LOCAL: Gateway = Gateway {
        local: true,
        probe: false,
    };

    struct House {
        app: TestApp<Deps<FakePorts>>,
        services: Vec<FakeHttp>,
    }

    fn house(missing: Option<&str>) -> House {
        let world = World::auto();
        let services: Vec<FakeHttp> = WORKERS.iter().map(|_| FakeHttp::service(&world)).collect();
        let upstreams = WORKERS
            .iter()
            .zip(&services)
            .map(|(target, service)| Upstream {
                worker: target.worker,
                binding: target.binding,
                service: (missing != Some(target.worker)).then(|| service.clone()),
            })
            .collect();
        let deps = Deps::<FakePorts> {
            clock: world.clock.clone(),
            random: world.random.clone(),
            ops: world.ops.clone(),
            upstreams,
            gateway: LOCAL,
            git_sha: "ab12cd3".to_owned(),
        };
        House {
            app: TestApp::new(routes::routes().into_app(deps.clone()), &deps),
            services,
        }
    }

    fn healthy(house: &House) {
        for service in &house.services {
            let body = json!({"status": "ok", "version": "0.1.0", "git_sha": "ff00ff0"});
            service.reply(FakeReply::json(200, &body));
        }
    }

    #[tokio::test]
    async fn health_reports_bindings_and_workers() {
        let house = house(None);
        healthy(&house);
        let answer = house.app.get("/health").send().await;
        assert_eq!(answer.status, 200);
        let up = json!({"status": "ok", "version": "0.1.0", "git_sha": "ff00ff0"});
        assert_eq!(
            answer.json(),
            json!({
                "status": "ok", "version": env!("CARGO_PKG_VERSION"), "version_id": null, "git_sha": "ab12cd3",
                "bindings": {"CONFIG_SERVICE": "ok", "IMAGE_GEN": "ok", "ADMISSION": "ok"},
                "workers": {"config-service": up, "image-gen": up, "admission": up},
            })
        );
        let sent = house.services[0].requests().remove(0);
        assert_eq!(sent.headers["x-request-id"], answer.header("x-request-id"));
    }

    #[tokio::test]
    async fn a_sick_worker_is_reported_and_a_missing_binding_is_our_own_failure() {
        let house_one = house(None);
        house_one.services[0].reply(FakeReply::json(
            503,
            &json!({"status": "degraded", "version": "1", "git_sha": "x"}),
        ));
        house_one.services[1].reply(FakeReply::failure(
            SendPhase::MaybeSent,
            "connection refused",
        ));
        house_one.services[2].reply(FakeReply::bytes(200, "text/html", "<html>"));
        let answer = house_one.app.get("/health").send().await;
        assert_eq!(answer.status, 200);
        let body = answer.json();
        assert_eq!(body["workers"]["config-service"]["status"], "degraded");
        assert_eq!(body["workers"]["image-gen"]["status"], "unreachable");
        assert_eq!(body["workers"]["admission"]["status"], "unreachable");

        let house_two = house(Some("image-gen"));
        healthy(&house_two);
        let answer = house_two.app.get("/health").send().await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.json()["bindings"]["IMAGE_GEN"], "absent");
    }

    #[tokio::test]
    async fn a_worker_that_hangs_does_not_hold_the_page() {
        let house = house(None);
        for service in &house.services {
            service.reply(FakeReply::json(200, &json!({})).delayed(60_000));
        }
        let answer = house.app.get("/").send().await;
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("1 of 4 workers are up"));
    }

    #[tokio::test]
    async fn the_first_page_shows_what_runs_and_how_to_begin() {
        let house = house(None);
        healthy(&house);
        let answer = house
            .app
            .get("/")
            .header("host", "localhost:8787")
            .send()
            .await;
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        let page = answer.text();
        for part in [
            "<title>Switchyard</title>",
            "All 4 workers are up",
            "ab12cd3",
            "ff00ff0",
            "curl -s http://localhost:8787/api/image-gen/generate",
            "Authorization: Bearer $KEY",
            "href=\"/api/config-service/openapi.json\"",
            "href=\"/api/image-gen/openapi.json\"",
            "href=\"/api/admission/openapi.json\"",
            "href=\"/openapi.json\"",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        for bad in ["<script", "<style", "style=", " on"] {
            let inline = page
                .match_indices(bad)
                .any(|(at, _)| bad != " on" || page[at + 3..].starts_with("click"));
            assert!(!inline, "{bad}");
        }
        let evil = house
            .app
            .get("/")
            .header("host", "x\"><script>")
            .send()
            .await;
        assert!(!evil.text().contains("<script"));
        let style = house.app.get("/style.css").send().await;
        assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
        assert_eq!(style.header("cache-control"), "no-cache");
        assert!(style.text().contains("prefers-color-scheme: dark"));
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_errors() {
        let house = house(None);
        for (method, path, status, code) in [
            (Method::GET, "/nope", 404, "not_found"),
            (Method::GET, "/api", 404, "not_found"),
            (Method::POST, "/", 405, "method_not_allowed"),
            (Method::DELETE, "/health", 405, "method_not_allowed"),
        ] {
            let answer = house.app.request(method, path).send().await;
            assert_eq!(answer.outcome(), (status, code.to_owned()), "{path}");
        }
    }

    #[test]
    fn security_headers_are_on_every_answer() {
        let bare = headers::secured(Response::new(Body::empty()), false);
        for (name, value) in headers::SECURITY {
            assert_eq!(bare.headers()[name], value);
        }
        assert!(!bare.headers().contains_key("strict-transport-security"));
        assert!(!headers::CONTENT_SECURITY_POLICY.contains("unsafe"));
        let secure = headers::secured(Response::new(Body::empty()), true);
        assert!(secure.headers().contains_key("strict-transport-security"));
    }

    fn head(method: &str, url: &str, pairs: &[(&str, &str)]) -> Head {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        Head::new(method, url, map)
    }

    fn short(decision: &Decision) -> String {
        match decision {
            Decision::Own => "own".to_owned(),
            Decision::Forward(forward) => {
                format!("{} {}", forward.target.binding, forward.path_and_query)
            }
            Decision::Reject(error) => error.code.as_str().to_owned(),
        }
    }

    #[test]
    fn every_form_of_path_has_its_decision() {
        for (path, want) in [
            ("/", "own"),
            ("", "own"),
            ("/health", "own"),
            ("/api", "own"),
            ("/apix/image-gen/health", "own"),
            ("/API/image-gen/health", "own"),
            ("/internal/v1/resolve", "own"),
            ("/api/image-gen/generate", "IMAGE_GEN /generate"),
            (
                "/api/image-gen/generate?dry_run=1&x=a/b//c",
                "IMAGE_GEN /generate?dry_run=1&x=a/b//c",
            ),
            ("/api/image-gen/generate#top", "IMAGE_GEN /generate"),
            ("/api/image-gen", "IMAGE_GEN /"),
            ("/api/image-gen/", "IMAGE_GEN /"),
            ("/api/image-gen?x=1", "IMAGE_GEN /?x=1"),
            (
                "/api/image-gen/v1/models/ideogram/ideogram-3",
                "IMAGE_GEN /v1/models/ideogram/ideogram-3",
            ),
            (
                "/api/image-gen/v1/models/ideogram%2Fideogram-3",
                "IMAGE_GEN /v1/models/ideogram%2Fideogram-3",
            ),
            (
                "/api/image-gen/images/production/default/1_a.png?exp=1&sig=x",
                "IMAGE_GEN /images/production/default/1_a.png?exp=1&sig=x",
            ),
            (
                "/api/config-service/instance/production",
                "CONFIG_SERVICE /instance/production",
            ),
            ("/api/admission/health", "ADMISSION /health"),
            ("/api/admission/openapi.json", "ADMISSION /openapi.json"),
            ("/api/admission/health/x", "not_found"),
            ("/api/admission", "not_found"),
            ("/api/admission/acquire", "not_found"),
            ("/api/", "not_found"),
            ("/api/task-master/tasks", "not_found"),
            ("/api/probe/kv", "not_found"),
            ("/api/Image-Gen/generate", "not_found"),
            ("/api/config-service/internal/v1/resolve", "not_found"),
            ("/api/config-service/internal", "not_found"),
            ("/api/config-service/INTERNAL/v1/resolve", "not_found"),
            ("/api/config-service/%69nternal/v1/resolve", "not_found"),
            ("/api/config-service/intern%61l/v1/resolve", "not_found"),
            ("/api/image-gen/internal/x", "not_found"),
            (
                "/api/config-service/%2Finternal/v1/resolve",
                "invalid_request",
            ),
            (
                "/api/config-service//internal/v1/resolve",
                "invalid_request",
            ),
            ("/api//config-service/health", "invalid_request"),
            (
                "/api/config-service/./internal/v1/resolve",
                "invalid_request",
            ),
            (
                "/api/config-service/%2e/internal/v1/resolve",
                "invalid_request",
            ),
            ("/api/config-service/%2E/./internal/x", "invalid_request"),
            ("/api/./config-service/health", "invalid_request"),
            (
                "/api/config-service/x/../internal/v1/resolve",
                "invalid_request",
            ),
            (
                "/api/config-service/x/%2e%2E/internal/v1/resolve",
                "invalid_request",
            ),
            ("/api/config-service/..", "invalid_request"),
            ("/api/config-service/a%2Fb", "invalid_request"),
            ("/api/config-service/a%5Cb", "invalid_request"),
            ("/api/config-service%2Fhealth", "invalid_request"),
            ("/api/image-gen/images/a/%00", "invalid_request"),
            ("/api/image-gen/a\\b", "invalid_request"),
            ("/api/image-gen/a%zz", "IMAGE_GEN /a%zz"),
            ("/api/image-gen/%", "IMAGE_GEN /%"),
        ] {
            let head = head("GET", &format!("http://127.0.0.1:8787{path}"), &[]);
            assert_eq!(short(&decide(&head, LOCAL)), want, "{path}");
        }
    }

    #[test]
    fn a_local_stack_serves_loopback_names_only() {
        for (host, served) in [
            ("127.0.0.1:8787", true),
            ("127.0.0.1", true),
            ("localhost:1", true),
            ("LOCALHOST", true),
            ("[::1]:8787", true),
            ("[::1]", true),
            ("evil.example:8787", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
            ("[::2]:8787", false),
            ("::1", false),
            ("", false),
            ("127.0.0.1@evil.example", false),
        ] {
            let head = head(
                "GET",
                "http://127.0.0.1:8787/api/image-gen/health",
                &[("host", host)],
            );
            let got = decide(&head, LOCAL);
            assert_eq!(matches!(got, Decision::Forward(_)), served, "{host}");
            if !served {
                assert_eq!(short(&got), Code::OriginRefused.as_str());
            }
            assert!(
                matches!(decide(&head, Gateway::default()), Decision::Forward(_)),
                "{host}"
            );
        }
        // Without the header the URL says which host was meant.
        let foreign = head("GET", "http://evil.example/", &[]);
        assert_eq!(short(&decide(&foreign, LOCAL)), "origin_refused");
    }

    #[test]
    fn the_probe_is_there_in_tests_only() {
        let probing = Gateway {
            local: true,
            probe: true,
        };
        let ask = head("POST", "http://localhost/api/probe/kv/get?x=1", &[]);
        let Decision::Forward(forward) = decide(&ask, probing) else {
            panic!("not forwarded")
        };
        assert_eq!(
            (forward.target, forward.path_and_query.as_str()),
            (PROBE, "/kv/get?x=1")
        );
        let Decision::Reject(error) = decide(&ask, LOCAL) else {
            panic!("forwarded")
        };
        assert_eq!(
            error.details["workers"],
            json!(["config-service", "image-gen", "admission"])
        );
    }

    #[test]
    fn bodies_over_the_largest_cap_are_refused_unread() {
        for (length, want) in [
            ("54525952", "IMAGE_GEN /generate"),
            ("54525953", "payload_too_large"),
            ("99999999999999999999", "payload_too_large"),
        ] {
            let head = head(
                "POST",
                "http://localhost/api/image-gen/generate",
                &[("content-length", length)],
            );
            assert_eq!(short(&decide(&head, LOCAL)), want, "{length}");
        }
    }

    proptest! {
            /// Whatever the path: what is forwarded is a path of a known worker that is not internal.
            #[test]
            fn nothing_internal_is_ever_forwarded(rest in "(config-service|image-gen|admission|\\.\\.|%2[eEfF]|/|\\\\|internal|%69nternal|health|[a-z%0-9.?#]){0,8}") {
                let head = head("GET", &format!("http://localhost/api/{rest}"), &[]);
                if let Decision::Forward(forward) = decide(&head, LOCAL) {
                    prop_assert!(WORKERS.contains(&forward.target));
                    let path = forward.path_and_query.split('?').next().unwrap().to_ascii_lowercase();
                    prop_assert!(path.starts_with('/') && !path.starts_with("//"));
    let first = path.split('/').nth(1).unwrap_or_default();
                    prop_assert_ne!(first, "internal");
                    prop_assert!(!path.split('/').any(|segment| segment == ".."));
                }
            }
        }
}
