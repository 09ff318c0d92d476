//! Request bodies.

use super::Api;
use serde::Serialize;

/// What a request asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) model: &'a str,
    pub(crate) prompt: &'a str,
    pub(crate) max_tokens: u32,
    pub(crate) temperature: f64,
    /// Ask the server not to stop before `max_tokens`, by the fields that it knows.
    pub(crate) ignore_eos: bool,
    pub(crate) min_tokens: bool,
    /// Ask for token counts in a last chunk.
    pub(crate) usage: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<[Message<'a>; 1]>,
    max_tokens: u32,
    temperature: f64,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_eos: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_tokens: Option<u32>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// The body of a streamed request.
pub(crate) fn write_body(api: Api, ask: &Ask) -> Vec<u8> {
    let (prompt, messages) = match api {
        Api::Completions => (Some(ask.prompt), None),
        Api::Chat => {
            let message = Message {
                role: "user",
                content: ask.prompt,
            };
            (None, Some([message]))
        }
    };
    let body = Body {
        model: ask.model,
        prompt,
        messages,
        max_tokens: ask.max_tokens,
        temperature: ask.temperature,
        stream: true,
        stream_options: ask.usage.then_some(StreamOptions {
            include_usage: true,
        }),
        ignore_eos: ask.ignore_eos.then_some(true),
        min_tokens: ask.min_tokens.then_some(ask.max_tokens),
    };
    let mut bytes = Vec::with_capacity(ask.prompt.len() + 256);
    serde_json::to_writer(&mut bytes, &body)
        .expect("strings and numbers are always JSON, and a Vec takes all bytes");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(api: Api, forced: bool) -> String {
        let ask = Ask {
            model: "m",
            prompt: "say \"hi\"",
            max_tokens: 8,
            temperature: 0.0,
            ignore_eos: forced,
            min_tokens: forced,
            usage: true,
        };
        String::from_utf8(write_body(api, &ask)).unwrap()
    }

    #[test]
    fn bodies_carry_what_was_asked_and_nothing_else() {
        assert_eq!(
            body(Api::Completions, false),
            r#"{"model":"m","prompt":"say \"hi\"","max_tokens":8,"temperature":0.0,"stream":true,"stream_options":{"include_usage":true}}"#
        );
        assert_eq!(
            body(Api::Chat, true),
            r#"{"model":"m","messages":[{"role":"user","content":"say \"hi\""}],"max_tokens":8,"temperature":0.0,"stream":true,"stream_options":{"include_usage":true},"ignore_eos":true,"min_tokens":8}"#
        );
    }
}
