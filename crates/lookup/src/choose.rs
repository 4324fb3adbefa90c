//! Which instance a request is about: a pure choice.
//!
//! In scope: hints of the request, the order of the choice. Out of scope: whether the caller has access
//! (`auth::permission`).

use api_types::InstanceId;
use errors::{Code, Error, Result};

/// What a request says about instance and project, checked by whoever answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hints {
    /// `X-Instance-ID` or the body's `instance_id`.
    pub instance: Option<String>,
    /// `X-Project-ID` or the body's `project_id`.
    pub project: Option<String>,
}

impl Hints {
    /// Joins the hints of two places.
    ///
    /// # Errors
    /// 400 `conflicting_instance` when both name another instance, 400 `project_mismatch` for projects.
    pub fn join(self, other: Hints) -> Result<Hints> {
        let one = |a: Option<String>, b: Option<String>, code: Code, what: &str| match (a, b) {
            (Some(a), Some(b)) if a != b => Err(Error::new(
                code,
                format!("Header and body name different {what}s."),
            )),
            (a, b) => Ok(a.or(b)),
        };
        Ok(Hints {
            instance: one(
                self.instance,
                other.instance,
                Code::ConflictingInstance,
                "instance",
            )?,
            project: one(
                self.project,
                other.project,
                Code::ProjectMismatch,
                "project",
            )?,
        })
    }
}

/// All that the choice depends on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Choice<'a> {
    /// The instance that the request names.
    pub hint: Option<&'a InstanceId>,
    /// The instance of the project that the request names, or of a project key.
    pub project_instance: Option<&'a InstanceId>,
    /// The one instance that the asking set of workers is deployed for.
    pub deployed: Option<&'a InstanceId>,
    /// Instances that the caller may use, at most 50.
    pub accessible: &'a [InstanceId],
    /// Whether there are more than those.
    pub more: bool,
    /// URL of the right deployment, for `instance_mismatch`.
    pub right_url: Option<&'a str>,
}

/// Hint; else the project's instance; else the deployed one; else the only accessible one.
///
/// # Errors
/// 400 `project_mismatch`, 400 `instance_mismatch` (404 for callers without access to that instance),
/// 400 `instance_required` with `details.instances`.
pub fn choose(choice: &Choice<'_>) -> Result<InstanceId> {
    if let (Some(hint), Some(of_project)) = (choice.hint, choice.project_instance)
        && hint != of_project
    {
        return Err(Error::new(
            Code::ProjectMismatch,
            "The project belongs to another instance.",
        ));
    }
    let only = match choice.accessible {
        [only] if !choice.more => Some(only),
        _ => None,
    };
    let chosen = choice
        .hint
        .or(choice.project_instance)
        .or(choice.deployed)
        .or(only);
    let Some(chosen) = chosen else {
        let shown: Vec<&str> = choice
            .accessible
            .iter()
            .take(20)
            .map(InstanceId::as_str)
            .collect();
        return Err(
            Error::new(Code::InstanceRequired, "The request names no instance.")
                .with_detail("more", choice.more || choice.accessible.len() > 20)
                .with_detail("instances", shown),
        );
    };
    if choice.deployed.is_some_and(|deployed| deployed != chosen) {
        let known = choice.more || choice.accessible.contains(chosen);
        if !known {
            return Err(Error::not_found("instance"));
        }
        let error = Error::new(
            Code::InstanceMismatch,
            format!("This deployment does not serve the instance {chosen}."),
        );
        return Err(match choice.right_url {
            Some(url) => error.with_detail("url", url),
            None => error,
        });
    }
    Ok(chosen.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> InstanceId {
        InstanceId::parse(text).unwrap()
    }

    fn code(choice: &Choice<'_>) -> Result<String, Code> {
        choose(choice).map(String::from).map_err(|error| error.code)
    }

    /// Every combination of hint, project, deployed set and accessible instances against the order of the rule.
    #[test]
    fn every_combination_follows_the_order() {
        let (a, b, c) = (id("a"), id("b"), id("c"));
        let options = [None, Some(&a), Some(&b)];
        let lists: [&[InstanceId]; 4] = [
            &[],
            std::slice::from_ref(&a),
            &[a.clone(), b.clone()],
            std::slice::from_ref(&c),
        ];
        let mut seen = 0;
        for hint in options {
            for project_instance in options {
                for deployed in options {
                    for accessible in lists {
                        for more in [false, true] {
                            let choice = Choice {
                                hint,
                                project_instance,
                                deployed,
                                accessible,
                                more,
                                right_url: None,
                            };
                            let got = code(&choice);
                            let mismatch = hint.is_some()
                                && project_instance.is_some()
                                && hint != project_instance;
                            let want = if mismatch {
                                Err(Code::ProjectMismatch)
                            } else if let Some(named) = hint.or(project_instance) {
                                match deployed {
                                    Some(d) if d != named => {
                                        if more || accessible.contains(named) {
                                            Err(Code::InstanceMismatch)
                                        } else {
                                            Err(Code::NotFound)
                                        }
                                    }
                                    _ => Ok(named.to_string()),
                                }
                            } else if let Some(d) = deployed {
                                Ok(d.to_string())
                            } else if accessible.len() == 1 && !more {
                                Ok(accessible[0].to_string())
                            } else {
                                Err(Code::InstanceRequired)
                            };
                            assert_eq!(got, want, "{choice:?}");
                            seen += 1;
                        }
                    }
                }
            }
        }
        assert_eq!(seen, 3 * 3 * 3 * 4 * 2);
    }

    #[test]
    fn instance_required_lists_at_most_twenty() {
        let many: Vec<InstanceId> = (0..30).map(|n| id(&format!("i{n}"))).collect();
        let error = choose(&Choice {
            accessible: &many,
            ..Choice::default()
        })
        .unwrap_err();
        assert_eq!(error.details["instances"].as_array().unwrap().len(), 20);
        assert_eq!(error.details["more"], true);
    }

    #[test]
    fn header_and_body_must_agree() {
        let hints = |instance: &str, project: Option<&str>| Hints {
            instance: Some(instance.into()),
            project: project.map(Into::into),
        };
        assert_eq!(
            hints("a", None).join(hints("a", Some("p"))).unwrap(),
            hints("a", Some("p"))
        );
        assert_eq!(
            hints("a", None).join(hints("b", None)).unwrap_err().code,
            Code::ConflictingInstance
        );
        assert_eq!(
            hints("a", Some("p"))
                .join(hints("a", Some("q")))
                .unwrap_err()
                .code,
            Code::ProjectMismatch
        );
    }
}
