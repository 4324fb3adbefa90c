//! The marks of every route, said once more: a route that is not here, or differs, fails.

use api_types::Need;
use auth::permission::image_gen as op;
use image_gen::routes::routes;
use platform::fakes::FakePorts;
use std::collections::BTreeMap;

const CAP_BYTES: usize = 1024 * 1024;
/// What is resolved before the handler, whether work begins, whether the key may come in the body.
const MARKS: [(&str, Option<Need>, bool, bool); 9] = [
    ("generate", Some(Need::Instance), true, true),
    ("openai_generate", Some(Need::Instance), true, false),
    ("get_job", Some(Need::Instance), false, false),
    ("list_models", Some(Need::Instance), false, false),
    ("get_model", Some(Need::Instance), false, false),
    ("get_image_file", None, false, false),
    ("health", None, false, false),
    ("openapi", None, false, false),
    ("internal_running", None, false, false),
];

#[test]
fn every_route_has_the_marks_that_it_needs() {
    let table = routes::<FakePorts>();
    let marks = table.marks().iter().map(|mark| {
        let operation = mark.operation;
        assert_eq!(mark.body_cap_bytes, CAP_BYTES, "{}", operation.name);
        assert!(operation.also.is_empty() && !operation.by_key_itself);
        let is = (operation.need, operation.work, operation.body_key);
        (operation.name, is)
    });
    let served: BTreeMap<_, _> = marks.collect();
    let wanted: BTreeMap<_, _> = MARKS
        .into_iter()
        .map(|(name, need, work, body_key)| (name, (need, work, body_key)))
        .collect();
    assert_eq!(served, wanted);
    assert_eq!(table.marks().len(), op::ALL.len());
}
