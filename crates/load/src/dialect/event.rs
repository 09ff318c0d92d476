//! What one server-sent event carries.
//!
//! # Which chunks carry a token
//!
//! A chunk is token-bearing if its choice has token ids, or a text, a content, a reasoning or a
//! tool call that is not empty. Where all of these are empty, servers differ, and the shape tells:
//!
//! - With a role it is the opening chunk of a chat, and no token. vLLM sends `"content":""` with
//!   it, llama.cpp `"content":null`.
//! - With a null `finish_reason` and a text or content that is there but empty, it is a token whose
//!   bytes are not yet a whole character (vLLM, trtllm-serve), or one that was asked for without
//!   its text (`detokenize: false`).
//! - With a `finish_reason` it is a token where the choice has the field `stop_reason`, as vLLM and
//!   trtllm-serve write it: these send one chunk a step of the engine, and the reason rides on the
//!   last token's chunk, also when that token has no text (six chunks for six tokens in vLLM's
//!   transcripts, of which the last is empty). Where the field is missing (llama.cpp, OpenAI), the
//!   closing chunk stands for itself and carries no token.
//!
//! A chunk of prompt progress, of usage alone, or of an error carries none. Triton's events have no
//! choices: one with `text_output` is a token, empty or not.

use super::{field::Content, words};
use crate::wire::WireError;
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use std::fmt;

/// What an event carries.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Event {
    /// The token or tokens, if it bears any.
    pub(crate) token: Option<Token>,
    /// How many tokens it bears, where the chunk itself tells.
    pub(crate) token_count: Option<u32>,
    /// The server gives a reason why it stops here.
    pub(crate) finished: bool,
    pub(crate) usage: Option<Usage>,
    /// The server reports an error, in these words.
    pub(crate) error: Option<String>,
    /// It is the stream's proper end.
    pub(crate) done: bool,
}

/// What a token-bearing chunk holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Text of the answer, or a tool call.
    Answer,
    /// Text of the reasoning that comes before it.
    Reasoning,
    /// A token without text: part of whatever the stream is in.
    Silent,
}

/// Token counts, as the server gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: Option<u32>,
    pub(crate) completion_tokens: Option<u32>,
    #[serde(rename = "prompt_tokens_details")]
    prompt: Option<PromptDetails>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u32>,
}

impl Usage {
    /// How many of the prompt's tokens the server had cached.
    pub(crate) fn cached_tokens(&self) -> Option<u32> {
        self.prompt?.cached_tokens
    }
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Choices,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Content,
    #[serde(default)]
    prompt_progress: Content,
    /// Triton's.
    #[serde(default)]
    text_output: Content,
    #[serde(default)]
    num_input_tokens: Option<Tensor>,
    #[serde(default)]
    num_output_tokens: Option<Tensor>,
}

/// A number, or a tensor of one.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Tensor {
    Number(u32),
    List([u32; 1]),
}

impl Tensor {
    fn get(self) -> u32 {
        match self {
            Self::Number(number) | Self::List([number]) => number,
        }
    }
}

/// The choices, of which there is one at most: this client never asks for more.
#[derive(Default)]
enum Choices {
    #[default]
    Absent,
    None,
    One(Choice),
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    text: Content,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    token_ids: Content,
    #[serde(default)]
    finish_reason: Content,
    #[serde(default)]
    stop_reason: Content,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    role: Content,
    content: Content,
    reasoning: Content,
    reasoning_content: Content,
    tool_calls: Content,
    function_call: Content,
    refusal: Content,
}

/// Reads an event's data.
pub(crate) fn read_event(data: &[u8]) -> Result<Event, WireError> {
    let text = std::str::from_utf8(data)
        .map_err(|error| WireError(format!("an event of the stream is not UTF-8: {error}")))?;
    if text.trim_ascii() == "[DONE]" {
        return Ok(Event {
            done: true,
            ..Event::default()
        });
    }
    let no_chunk = |reason: &dyn fmt::Display| {
        let begin: String = text.chars().take(80).collect();
        WireError(format!(
            "an event of the stream is no chunk ({reason}); it begins {begin:?}"
        ))
    };
    // Serde takes a list for a struct, too.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(no_chunk(&"not a JSON object"));
    }
    let chunk: Chunk = serde_json::from_str(text).map_err(|error| no_chunk(&error))?;
    let mut event = Event {
        usage: chunk.usage.or_else(|| chunk.triton_usage()),
        ..Event::default()
    };
    match &chunk.choices {
        _ if chunk.error.holds() => event.error = Some(words::server_words(data)),
        Choices::Absent if chunk.text_output.holds() => event.token = Some(Token::Answer),
        Choices::Absent if chunk.text_output == Content::Empty => {
            event.token = Some(Token::Silent);
        }
        Choices::Absent if words::is_error_object(data) => {
            event.error = Some(words::server_words(data));
        }
        Choices::One(choice) if !chunk.prompt_progress.holds() => {
            event.token = choice.token();
            event.finished = choice.finish_reason.holds();
            event.token_count = u32::try_from(choice.token_ids.len())
                .ok()
                .filter(|&count| count > 0);
        }
        _ => {}
    }
    Ok(event)
}

/// The text of the answer in an event that [`read_event`] took for a token; empty if it has none.
pub(crate) fn answer_text(data: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(data).unwrap_or_default();
    let choice = &value["choices"][0];
    let texts = [
        &choice["text"],
        &choice["delta"]["content"],
        &value["text_output"],
    ];
    let text = texts.into_iter().find_map(serde_json::Value::as_str);
    text.unwrap_or_default().to_owned()
}

impl Chunk {
    fn triton_usage(&self) -> Option<Usage> {
        let counts = [self.num_input_tokens, self.num_output_tokens];
        let [prompt_tokens, completion_tokens] = counts.map(|count| count.map(Tensor::get));
        (prompt_tokens.is_some() || completion_tokens.is_some()).then_some(Usage {
            prompt_tokens,
            completion_tokens,
            prompt: None,
        })
    }
}

impl Choice {
    /// See the module's documentation.
    fn token(&self) -> Option<Token> {
        let none = Delta::default();
        let delta = self.delta.as_ref().unwrap_or(&none);
        let answer = [
            self.text,
            delta.content,
            delta.tool_calls,
            delta.function_call,
            delta.refusal,
        ];
        let reasoning = [delta.reasoning, delta.reasoning_content];
        if answer.iter().any(|field| field.holds()) {
            return Some(Token::Answer);
        }
        if reasoning.iter().any(|field| field.holds()) {
            return Some(Token::Reasoning);
        }
        let has_empty_text =
            [self.text, delta.content, reasoning[0], reasoning[1]].contains(&Content::Empty);
        let rides_on_token = !self.finish_reason.holds() || self.stop_reason != Content::Absent;
        let silent =
            self.token_ids.holds() || (has_empty_text && !delta.role.holds() && rides_on_token);
        silent.then_some(Token::Silent)
    }
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ChoicesVisitor;

        impl<'de> Visitor<'de> for ChoicesVisitor {
            type Value = Choices;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of choices")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Choices, A::Error> {
                let Some(choice) = items.next_element()? else {
                    return Ok(Choices::None);
                };
                while items.next_element::<serde::de::IgnoredAny>()?.is_some() {}
                Ok(Choices::One(choice))
            }

            fn visit_unit<E>(self) -> Result<Choices, E> {
                Ok(Choices::None)
            }
        }

        deserializer.deserialize_any(ChoicesVisitor)
    }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
