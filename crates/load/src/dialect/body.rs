//! Request bodies.

use super::Api;
use crate::workload::{Adapter, Adapters, LoraDialect};
use serde::Serialize;
use std::borrow::Cow;

/// What a request asks for.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) model: &'a str,
    /// What was said before: the user's and the server's texts in turn.
    pub(crate) history: &'a [String],
    pub(crate) prompt: Prompt<'a>,
    pub(crate) max_tokens: u32,
    pub(crate) temperature: f64,
    /// Ask the server not to stop before `max_tokens`, by the fields that it knows.
    pub(crate) ignore_eos: bool,
    pub(crate) min_tokens: bool,
    /// Ask for token counts.
    pub(crate) usage: bool,
    pub(crate) lora: Option<LoraAsk<'a>>,
}

/// A prompt, as it goes into a body.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Prompt<'a> {
    Text(Cow<'a, str>),
    /// Token ids, which only completions take.
    Ids(Vec<u32>),
}

/// The adapter that a request takes, among all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoraAsk<'a> {
    pub(crate) adapters: &'a Adapters,
    /// Its place in the list.
    pub(crate) place: usize,
}

impl<'a> LoraAsk<'a> {
    pub(crate) fn adapter(&self) -> &'a Adapter {
        &self.adapters.list()[self.place]
    }
}

#[derive(Serialize)]
struct OpenAi<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<Prompt<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message<'a>>>,
    max_tokens: u32,
    temperature: f64,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ignore_eos: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lora_request: Option<LoraRequest<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lora: Option<Vec<LoraScale>>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Prompt<'a>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// trtllm-serve's.
#[derive(Serialize)]
struct LoraRequest<'a> {
    lora_name: &'a str,
    lora_int_id: usize,
    lora_path: &'a str,
}

/// llama.cpp's.
#[derive(Serialize)]
struct LoraScale {
    id: usize,
    scale: f64,
}

/// Triton's tensors, by the names of the TensorRT-LLM backend's ensemble.
#[derive(Serialize)]
struct Triton<'a> {
    text_input: Prompt<'a>,
    max_tokens: u32,
    temperature: f64,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_num_input_tokens: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_num_output_tokens: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lora_task_id: Option<usize>,
}

/// The body of a streamed request.
pub(crate) fn write_body(api: Api, ask: &Ask) -> Vec<u8> {
    let room = match &ask.prompt {
        Prompt::Text(text) => text.len(),
        Prompt::Ids(ids) => ids.len() * 7,
    };
    let mut bytes = Vec::with_capacity(room + 256);
    let written = match api {
        Api::Completions | Api::Chat => serde_json::to_writer(&mut bytes, &open_ai(api, ask)),
        Api::Triton => serde_json::to_writer(&mut bytes, &triton(ask)),
    };
    written.expect("strings and numbers are always JSON, and a Vec takes all bytes");
    bytes
}

/// A conversation as one text: each prompt begins with the one before and its answer, so that what a
/// prefix cache holds of them serves again.
fn one_text<'a>(ask: &'a Ask) -> Prompt<'a> {
    let Prompt::Text(last) = &ask.prompt else {
        return ask.prompt.clone();
    };
    if ask.history.is_empty() {
        return Prompt::Text(Cow::Borrowed(last));
    }
    let mut text = String::new();
    for pair in ask.history.chunks(2) {
        pair.iter().for_each(|said| text.push_str(said));
        text.push('\n');
    }
    text.push_str(last);
    Prompt::Text(text.into())
}

fn messages<'a>(ask: &'a Ask) -> Vec<Message<'a>> {
    let said = ask
        .history
        .iter()
        .map(|text| Prompt::Text(Cow::Borrowed(text.as_str())));
    let roles = ["user", "assistant"].into_iter().cycle();
    said.chain([ask.prompt.clone()])
        .zip(roles)
        .map(|(content, role)| Message { role, content })
        .collect()
}

fn open_ai<'a>(api: Api, ask: &'a Ask) -> OpenAi<'a> {
    let (prompt, messages) = match api {
        Api::Chat => (None, Some(messages(ask))),
        _ => (Some(one_text(ask)), None),
    };
    let mut body = OpenAi {
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
        lora_request: None,
        lora: None,
    };
    let Some(lora) = &ask.lora else { return body };
    let adapter = lora.adapter();
    match lora.adapters.dialect() {
        LoraDialect::Model => body.model = &adapter.name,
        LoraDialect::TensorRtLlm => {
            body.lora_request = Some(LoraRequest {
                lora_name: &adapter.name,
                // 0 means "none" there.
                lora_int_id: lora.place + 1,
                lora_path: adapter.path.as_deref().unwrap_or_default(),
            });
        }
        LoraDialect::LlamaCpp => {
            let scale = |id| LoraScale {
                id,
                scale: f64::from(id == lora.place),
            };
            body.lora = Some((0..lora.adapters.list().len()).map(scale).collect());
        }
        // Checked before a phase runs: Triton's way is of Triton's API.
        LoraDialect::Triton => {}
    }
    body
}

fn triton<'a>(ask: &'a Ask) -> Triton<'a> {
    Triton {
        text_input: one_text(ask),
        max_tokens: ask.max_tokens,
        temperature: ask.temperature,
        stream: true,
        min_tokens: ask.min_tokens.then_some(ask.max_tokens),
        return_num_input_tokens: ask.usage.then_some(true),
        return_num_output_tokens: ask.usage.then_some(true),
        lora_task_id: ask.lora.map(|lora| lora.place + 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::AdapterPolicy;

    fn body(api: Api, forced: bool, lora: Option<LoraAsk>) -> String {
        let ask = Ask {
            model: "m",
            history: &[],
            prompt: Prompt::Text("say \"hi\"".into()),
            max_tokens: 8,
            temperature: 0.0,
            ignore_eos: forced,
            min_tokens: forced,
            usage: true,
            lora,
        };
        String::from_utf8(write_body(api, &ask)).unwrap()
    }

    #[test]
    fn bodies_carry_what_was_asked_and_nothing_else() {
        assert_eq!(
            body(Api::Completions, false, None),
            r#"{"model":"m","prompt":"say \"hi\"","max_tokens":8,"temperature":0.0,"stream":true,"stream_options":{"include_usage":true}}"#
        );
        assert_eq!(
            body(Api::Chat, true, None),
            r#"{"model":"m","messages":[{"role":"user","content":"say \"hi\""}],"max_tokens":8,"temperature":0.0,"stream":true,"stream_options":{"include_usage":true},"ignore_eos":true,"min_tokens":8}"#
        );
        assert_eq!(
            body(Api::Triton, false, None),
            r#"{"text_input":"say \"hi\"","max_tokens":8,"temperature":0.0,"stream":true,"return_num_input_tokens":true,"return_num_output_tokens":true}"#
        );
    }

    #[test]
    fn a_conversation_repeats_what_was_said() {
        let history = ["one".to_owned(), " two".to_owned()];
        let ask = Ask {
            model: "m",
            history: &history,
            prompt: Prompt::Text("three".into()),
            max_tokens: 1,
            temperature: 0.0,
            ignore_eos: false,
            min_tokens: false,
            usage: false,
            lora: None,
        };
        let body = |api| String::from_utf8(write_body(api, &ask)).unwrap();
        assert!(body(Api::Completions).contains(r#""prompt":"one two\nthree""#));
        let want = r#"[{"role":"user","content":"one"},{"role":"assistant","content":" two"},{"role":"user","content":"three"}]"#;
        assert!(body(Api::Chat).contains(want), "{}", body(Api::Chat));
    }

    #[test]
    fn token_ids_are_a_list() {
        let ask = Ask {
            model: "m",
            history: &[],
            prompt: Prompt::Ids(vec![5, 6]),
            max_tokens: 1,
            temperature: 0.5,
            ignore_eos: false,
            min_tokens: false,
            usage: false,
            lora: None,
        };
        let body = String::from_utf8(write_body(Api::Completions, &ask)).unwrap();
        assert_eq!(
            body,
            r#"{"model":"m","prompt":[5,6],"max_tokens":1,"temperature":0.5,"stream":true}"#
        );
    }

    #[test]
    fn each_server_is_told_its_adapter_in_its_own_way() {
        let adapter = |name: &str| Adapter {
            name: name.to_owned(),
            path: Some(format!("/l/{name}")),
        };
        let told = |api, dialect| {
            let list = vec![adapter("a"), adapter("b")];
            let adapters = Adapters::new(list, dialect, AdapterPolicy::Sticky, 1).unwrap();
            let lora = LoraAsk {
                adapters: &adapters,
                place: 1,
            };
            body(api, false, Some(lora))
        };
        assert!(told(Api::Chat, LoraDialect::Model).starts_with(r#"{"model":"b","#));
        let text = told(Api::Completions, LoraDialect::TensorRtLlm);
        let want = r#""lora_request":{"lora_name":"b","lora_int_id":2,"lora_path":"/l/b"}"#;
        assert!(text.contains(want), "{text}");
        let text = told(Api::Completions, LoraDialect::LlamaCpp);
        let want = r#""lora":[{"id":0,"scale":0.0},{"id":1,"scale":1.0}]"#;
        assert!(text.contains(want), "{text}");
        let text = told(Api::Triton, LoraDialect::Triton);
        assert!(text.contains(r#""lora_task_id":2"#), "{text}");
    }
}
