//! The reason that a server gives, out of an error's body.

use serde_json::Value;

const MAX_CHARS: usize = 500;

/// The server's own words: of `{"error":{"message":…}}`, `{"error":…}`, `{"message":…}`,
/// `{"detail":…}`, or else the body as it is, cut to a line that fits a log.
pub(crate) fn server_words(body: &[u8]) -> String {
    let found = serde_json::from_slice::<Value>(body)
        .ok()
        .and_then(|value| of_object(&value));
    let words = found.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    one_line(&words)
}

/// Whether it is an error as trtllm-serve and older vLLMs stream it: `{"object":"error",…}`.
pub(super) fn is_error_object(data: &[u8]) -> bool {
    serde_json::from_slice::<Value>(data).is_ok_and(|value| value["object"] == "error")
}

fn of_object(value: &Value) -> Option<String> {
    let object = value.as_object()?;
    match object.get("error") {
        Some(Value::String(words)) => return Some(words.clone()),
        Some(error @ Value::Object(_)) => return of_object(error).or(Some(error.to_string())),
        _ => {}
    }
    match (object.get("message"), object.get("detail")) {
        (Some(Value::String(words)), _) | (_, Some(Value::String(words))) => Some(words.clone()),
        (_, Some(detail)) => Some(detail.to_string()),
        _ => None,
    }
}

fn one_line(words: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = words.trim().chars().take(MAX_CHARS).map(clean).collect();
    if line.is_empty() {
        return "no reason given".to_owned();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_in_every_shape() {
        let cases = [
            (
                r#"{"error":{"code":400,"message":"too long","type":"x"}}"#,
                "too long",
            ),
            (r#"{"error":"extra fields"}"#, "extra fields"),
            (r#"{"object":"error","message":"bad","code":400}"#, "bad"),
            (r#"{"detail":"Not Found"}"#, "Not Found"),
            (r#"{"detail":[{"loc":["body"]}]}"#, r#"[{"loc":["body"]}]"#),
            ("Bad\nGateway\n", "Bad Gateway"),
            ("", "no reason given"),
        ];
        for (body, want) in cases {
            assert_eq!(server_words(body.as_bytes()), want);
        }
    }

    #[test]
    fn a_long_or_foreign_body_is_cut_to_a_line() {
        assert_eq!(server_words(&vec![b'x'; 10_000]).len(), MAX_CHARS);
        assert_eq!(server_words(b"\xff\x00"), "\u{fffd} ");
    }
}
