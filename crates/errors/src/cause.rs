//! Why a stored result failed, where no request is answered: never the `error` of an answer.
//!
//! In scope: the second closed table. Out of scope: error codes (module `code`), the words of the sandbox runner's own
//! protocol.

use serde::{Deserialize, Serialize};

macro_rules! causes {
    ($($variant:ident $name:literal $meaning:literal;)+) => {
        /// A cause that stands in stored results only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Cause {
            $(
                #[doc = concat!("`", $name, "`: ", $meaning)]
                #[serde(rename = $name)]
                $variant,
            )+
        }

        impl Cause {
            /// All causes, in the order of the table.
            pub const ALL: &'static [Cause] = &[$(Cause::$variant,)+];

            /// The cause as it stands in rows, views and metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Cause::$variant => $name,)+ }
            }

            /// What it means, in one sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Cause::$variant => $meaning,)+ }
            }
        }
    };
}

causes! {
    ResultLost "result_lost" "The provider finished and charged, but the file could not be fetched.";
    RepoNotFound "repo_not_found" "The repository does not exist, or may not be read.";
    RefNotFound "ref_not_found" "The repository has no such branch, tag or commit.";
    RepoTooLarge "repo_too_large" "The repository is larger than the limit.";
    CloneFailed "clone_failed" "The repository could not be fetched.";
    InstallFailed "install_failed" "The dependencies could not be installed.";
    TaskDeadline "task_deadline" "The run did not end in its time.";
    DispatchExhausted "dispatch_exhausted" "The run could not be started after all attempts.";
    SandboxLost "sandbox_lost" "The sandbox went away while the run was going on.";
}

impl Cause {
    /// The cause of that name.
    pub fn parse(name: &str) -> Option<Cause> {
        Cause::ALL
            .iter()
            .copied()
            .find(|cause| cause.as_str() == name)
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn cause_format_unchanged_and_no_cause_is_a_code() {
        let mut names = std::collections::BTreeSet::new();
        for cause in Cause::ALL {
            let name = cause.as_str();
            assert!(names.insert(name), "{name} twice");
            assert_eq!(Code::parse(name), None, "{name} is a code");
            assert_eq!(Cause::parse(name), Some(*cause));
            assert_eq!(serde_json::to_string(cause).unwrap(), format!("\"{name}\""));
            assert!(cause.meaning().ends_with('.'), "{name}");
        }
        for code in Code::ALL {
            assert_eq!(Cause::parse(code.as_str()), None);
        }
    }

    #[test]
    fn every_cause_stands_in_the_document() {
        let folder = env!("CARGO_MANIFEST_DIR");
        let document = std::fs::read_to_string(format!("{folder}/../../docs/errors.md")).unwrap();
        for cause in Cause::ALL {
            let row = format!("| `{cause}` | {} |", cause.meaning());
            assert!(document.contains(&row), "{row}");
        }
    }
}
