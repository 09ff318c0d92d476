//! What clients send, read and checked. Fields that change nothing here (temperature, top_p, stop
//! …) are accepted and ignored, as vLLM ignores fields it does not know; those that would change
//! the answer's shape are refused.

use super::refusal::Refusal;
use crate::token::{Token, tokenize};
use serde::{Deserialize, de::DeserializeOwned};
use std::fmt::Write as _;

/// Reads a JSON body.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::invalid(&error))
}

/// The fields that both completion routes share.
#[derive(Debug, Deserialize)]
pub(super) struct Common {
    pub(super) model: Option<String>,
    pub(super) max_tokens: Option<u32>,
    #[serde(default)]
    pub(super) min_tokens: u32,
    #[serde(default)]
    pub(super) ignore_eos: bool,
    #[serde(default)]
    pub(super) stream: bool,
    pub(super) stream_options: Option<StreamOptions>,
    n: Option<u32>,
    #[serde(default)]
    echo: bool,
}

/// How a stream reports usage.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct StreamOptions {
    /// A last chunk with `usage` and no choices.
    #[serde(default)]
    pub(super) include_usage: bool,
    /// `usage` so far on every chunk.
    #[serde(default)]
    pub(super) continuous_usage_stats: bool,
}

impl Common {
    /// Refuses what would have to be answered in another shape.
    pub(super) fn check(&self) -> Result<(), Refusal> {
        let refuse = |message: &str, param| Err(Refusal::bad_request(message, Some(param)));
        if self.n.is_some_and(|n| n != 1) {
            return refuse(
                "this engine gives one choice; leave n out or set it to 1",
                "n",
            );
        }
        if self.echo {
            return refuse(
                "this engine does not echo the prompt; leave echo out",
                "echo",
            );
        }
        if self.max_tokens == Some(0) {
            return refuse("max_tokens must be at least 1, got 0.", "max_tokens");
        }
        if self.max_tokens.is_some_and(|max| self.min_tokens > max) {
            let message = "min_tokens must be less than or equal to max_tokens.";
            return refuse(message, "min_tokens");
        }
        if self.stream_options.is_some() && !self.stream {
            let message = "Stream options can only be defined when `stream=True`.";
            return refuse(message, "stream_options");
        }
        Ok(())
    }
}

/// `POST /v1/completions`.
#[derive(Debug, Deserialize)]
pub(super) struct CompletionRequest {
    pub(super) prompt: Prompt,
    #[serde(flatten)]
    pub(super) common: Common,
}

/// A prompt in one of the protocol's four forms.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Prompt {
    Text(String),
    Ids(Vec<u32>),
    Texts(Vec<String>),
    IdLists(Vec<Vec<u32>>),
}

impl Prompt {
    /// Its tokens.
    pub(super) fn into_tokens(self) -> Result<Vec<Token>, Refusal> {
        let refuse = |message: String| Err(Refusal::bad_request(message, Some("prompt")));
        let tokens = match self {
            Prompt::Text(text) => tokenize(&text),
            Prompt::Ids(ids) => ids.into_iter().map(Token).collect(),
            Prompt::Texts(texts) => match texts.as_slice() {
                [text] => tokenize(text),
                _ => return refuse(one_prompt(texts.len())),
            },
            Prompt::IdLists(mut lists) => match lists.pop() {
                Some(ids) if lists.is_empty() => ids.into_iter().map(Token).collect(),
                _ => return refuse(one_prompt(lists.len() + 1)),
            },
        };
        if tokens.is_empty() {
            return refuse("The decoder prompt cannot be empty".into());
        }
        check_vocabulary(&tokens)?;
        Ok(tokens)
    }
}

fn one_prompt(count: usize) -> String {
    format!("this engine takes one prompt a request, not {count}; send them one by one")
}

pub(super) fn check_vocabulary(tokens: &[Token]) -> Result<(), Refusal> {
    match tokens.iter().find(|token| token.0 >= Token::VOCABULARY) {
        None => Ok(()),
        Some(token) => Err(Refusal::bad_request(
            format!("Token id {} is out of vocabulary", token.0),
            Some("prompt"),
        )),
    }
}

/// `POST /v1/chat/completions`.
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    pub(super) messages: Vec<Message>,
    pub(super) max_completion_tokens: Option<u32>,
    #[serde(flatten)]
    pub(super) common: Common,
}

/// One message of a conversation.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    role: String,
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
struct Part {
    text: Option<String>,
}

/// The prompt that a conversation becomes. Each turn is `<|role|>content` and a line end, and the
/// answer's own header is open at the end, so that a conversation's next prompt begins with its
/// last one and the answer to it.
pub(super) fn chat_prompt(messages: &[Message]) -> Result<String, Refusal> {
    if messages.is_empty() {
        let message = "messages must have at least one message.";
        return Err(Refusal::bad_request(message, Some("messages")));
    }
    let mut prompt = String::new();
    for message in messages {
        // Writing to a String can't fail.
        let _ = write!(prompt, "<|{}|>", message.role);
        match &message.content {
            None => {}
            Some(Content::Text(text)) => prompt.push_str(text),
            Some(Content::Parts(parts)) => {
                for part in parts {
                    let Some(text) = &part.text else {
                        let message = "this engine reads text; remove other content parts";
                        return Err(Refusal::bad_request(message, Some("messages")));
                    };
                    prompt.push_str(text);
                }
            }
        }
        prompt.push('\n');
    }
    prompt.push_str("<|assistant|>");
    Ok(prompt)
}

/// `POST /tokenize`: a text or a conversation, as vLLM takes them, or llama.cpp's `content`.
#[derive(Debug, Deserialize)]
pub(super) struct TokenizeRequest {
    prompt: Option<String>,
    content: Option<String>,
    messages: Option<Vec<Message>>,
}

impl TokenizeRequest {
    /// The text that would be the prompt.
    pub(super) fn into_text(self) -> Result<String, Refusal> {
        match (self.prompt.or(self.content), self.messages) {
            (Some(text), None) => Ok(text),
            (None, Some(messages)) => chat_prompt(&messages),
            _ => Err(Refusal::bad_request(
                "give either prompt or messages to tokenize",
                Some("prompt"),
            )),
        }
    }
}

/// `POST /detokenize`.
#[derive(Debug, Deserialize)]
pub(super) struct DetokenizeRequest {
    pub(super) tokens: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(prompt: &str) -> Result<usize, String> {
        let body = format!(r#"{{"prompt":{prompt}}}"#);
        let request: CompletionRequest = parse(body.as_bytes()).map_err(|e| format!("{e:?}"))?;
        let tokens = request.prompt.into_tokens().map_err(|e| format!("{e:?}"))?;
        Ok(tokens.len())
    }

    #[test]
    fn a_prompt_has_four_forms() {
        assert_eq!(tokens(r#""the quick""#), Ok(3));
        assert_eq!(tokens("[1,2,3]"), Ok(3));
        assert_eq!(tokens(r#"["the"]"#), Ok(1));
        assert_eq!(tokens("[[1,2]]"), Ok(2));
        for bad in [
            r#""""#,
            "[]",
            "[[]]",
            r#"["a","b"]"#,
            "[[1],[2]]",
            "[4294967295]",
            "7",
        ] {
            assert!(tokens(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_conversation_begins_with_its_earlier_turns() {
        let prompt = |json: &str| chat_prompt(&parse::<Vec<Message>>(json.as_bytes()).unwrap());
        let first = prompt(r#"[{"role":"user","content":"hi"}]"#).unwrap();
        assert_eq!(first, "<|user|>hi\n<|assistant|>");
        let second = prompt(
            r#"[{"role":"user","content":[{"type":"text","text":"hi"}]},
                {"role":"assistant","content":" the sea"},{"role":"user","content":"more"}]"#,
        )
        .unwrap();
        assert!(second.starts_with(&format!("{first} the sea")));
        assert!(prompt("[]").is_err());
    }
}
