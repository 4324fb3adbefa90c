//! One bash script of all blocks of a document. Pure.
//!
//! All blocks share one shell, so a variable of one is there in the next. `curl` is wrapped: a request that gets no
//! answer, or a status from 400 on that the block does not name, ends the script.

use super::plan::{Plan, Step};

const PRELUDE: &str = r#"set -euo pipefail
curl() {
  local head code status=0
  head="$(mktemp "$DOCTEST_DIR/head.XXXXXX")"
  command curl --max-time 60 -D "$head" "$@" || status=$?
  code="$(sed -n 's/^HTTP\/[0-9.]* \([0-9][0-9][0-9]\).*/\1/p' "$head" | tail -n 1)"
  rm -f "$head"
  if [ -z "$code" ]; then
    echo "doctest: no answer (curl ended with $status)" >&2
    if [ "$status" -eq 0 ]; then return 1; fi
    return "$status"
  fi
  echo "$code" >> "$DOCTEST_DIR/seen"
  if [ "$code" -ge 400 ]; then
    case " $DOCTEST_STATUS " in
      *" $code "*) return 0 ;;
    esac
    echo "doctest: answered with status $code" >&2
    return 22
  fi
  return "$status"
}
"#;

/// Where the script says at which line it is.
pub(super) const AT: &str = "at";
/// What stands there when it came to its end.
pub(super) const DONE: &str = "done";

/// Standard output of the block at that line.
pub(super) fn output(line: usize) -> String {
    format!("out.{line}")
}

/// Standard error of the block at that line.
pub(super) fn errors(line: usize) -> String {
    format!("err.{line}")
}

/// The script. It runs with `DOCTEST_DIR`, where it leaves what the blocks printed.
pub(super) fn script(plan: &Plan) -> String {
    let mut parts = vec![PRELUDE.to_owned()];
    for step in &plan.steps {
        let Step::Run {
            line,
            code,
            statuses,
            ..
        } = step
        else {
            continue;
        };
        let words: Vec<String> = statuses.iter().map(u16::to_string).collect();
        let words = words.join(" ");
        let (out, err) = (output(*line), errors(*line));
        parts.push(format!(
            "echo {line} > \"$DOCTEST_DIR/{AT}\"\n: > \"$DOCTEST_DIR/seen\"\nDOCTEST_STATUS=\"{words}\"\n\
             {{\n{code}\n}} > \"$DOCTEST_DIR/{out}\" 2> \"$DOCTEST_DIR/{err}\" < /dev/null\n\
             for DOCTEST_WORD in {words}; do\n  if ! grep -qx \"$DOCTEST_WORD\" \"$DOCTEST_DIR/seen\"; then\n    \
             echo \"doctest: no request was answered with status $DOCTEST_WORD\" >> \"$DOCTEST_DIR/{err}\"\n    exit 1\n  fi\ndone\n"
        ));
    }
    parts.push(format!("echo {DONE} > \"$DOCTEST_DIR/{AT}\"\n"));
    parts.concat()
}

#[cfg(test)]
mod tests {
    use super::super::markdown::parse;
    use super::super::plan::plan;
    use super::*;

    #[test]
    fn blocks_come_in_order_into_one_shell() {
        let text = "```bash\nA=1\n```\n```bash norun reason=\"x\"\nrm\n```\n```bash status=404\ncurl $A\n```\n";
        let script = script(&plan(&parse(text)));
        assert!(script.starts_with("set -euo pipefail\n"));
        let (first, second) = (script.find("A=1").unwrap(), script.find("curl $A").unwrap());
        assert!(first < second && !script.contains("\nrm\n"));
        assert!(
            script.contains("DOCTEST_STATUS=\"404\"\n{\ncurl $A\n\n} > \"$DOCTEST_DIR/out.7\"")
        );
    }
}
