//! The bytes of answers, field by field as vLLM writes them.

use super::call::Usage;
use crate::{reply::Finish, token::Token};
use std::fmt::Write as _;

/// Which of the two protocols is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// `/v1/completions`
    Completion,
    /// `/v1/chat/completions`
    Chat,
}

impl Protocol {
    /// What ids of this protocol begin with.
    pub(super) fn id_prefix(self) -> &'static str {
        match self {
            Protocol::Completion => "cmpl-",
            Protocol::Chat => "chatcmpl-",
        }
    }
}

/// Writes the answers to one request.
#[derive(Debug)]
pub(super) struct Writer {
    protocol: Protocol,
    /// `"id":…` with the comma after it, as JSON.
    id: String,
    /// `"created":…,"model":…`
    stamp: String,
}

pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";

impl Writer {
    pub(super) fn new(protocol: Protocol, id: &str, created_unix_s: u64, model: &str) -> Self {
        let id = serde_json::Value::from(format!("{}{id}", protocol.id_prefix()));
        let model = serde_json::Value::from(model);
        Self {
            protocol,
            id: format!("\"id\":{id},"),
            stamp: format!("\"created\":{created_unix_s},\"model\":{model}"),
        }
    }

    /// The chunk that opens a chat stream; the other protocol has none.
    pub(super) fn opening_chunk(&self) -> Option<String> {
        (self.protocol == Protocol::Chat).then(|| {
            let delta = r#""delta":{"role":"assistant","content":""}"#;
            let mut chunk = self.chunk_head();
            close_choice(&mut chunk, delta, None);
            chunk.push_str("]}\n\n");
            chunk
        })
    }

    /// The chunk that carries a token.
    pub(super) fn token_chunk(
        &self,
        token: Token,
        finish: Option<Finish>,
        usage: Option<Usage>,
    ) -> String {
        let mut body = String::with_capacity(32);
        body.push_str(match self.protocol {
            Protocol::Completion => r#""text":""#,
            Protocol::Chat => r#""delta":{"content":""#,
        });
        // Replies are made of plain words, which JSON need not escape.
        token.push_text(&mut body);
        body.push_str(match self.protocol {
            Protocol::Completion => "\"",
            Protocol::Chat => "\"}",
        });
        let mut chunk = self.chunk_head();
        close_choice(&mut chunk, &body, finish);
        chunk.push(']');
        if let Some(usage) = usage {
            push_usage(&mut chunk, usage);
        }
        chunk.push_str("}\n\n");
        chunk
    }

    /// The chunk that carries nothing but usage.
    pub(super) fn usage_chunk(&self, usage: Usage) -> String {
        let mut chunk = self.chunk_head();
        chunk.push(']');
        push_usage(&mut chunk, usage);
        chunk.push_str("}\n\n");
        chunk
    }

    fn chunk_head(&self) -> String {
        let object = match self.protocol {
            Protocol::Completion => "text_completion",
            Protocol::Chat => "chat.completion.chunk",
        };
        let mut chunk = String::with_capacity(256);
        // Writing to a String can't fail, here and below.
        let _ = write!(
            chunk,
            "data: {{{}\"object\":\"{object}\",{},\"choices\":[",
            self.id, self.stamp
        );
        chunk
    }

    /// The whole answer at once.
    pub(super) fn whole(&self, text: &str, finish: Finish, usage: Usage) -> String {
        let text = serde_json::Value::from(text);
        let (object, content) = match self.protocol {
            Protocol::Completion => ("text_completion", format!("\"text\":{text}")),
            Protocol::Chat => (
                "chat.completion",
                format!("\"message\":{{\"role\":\"assistant\",\"content\":{text}}}"),
            ),
        };
        let mut body = format!(
            "{{{}\"object\":\"{object}\",{},\"choices\":[",
            self.id, self.stamp
        );
        close_choice(&mut body, &content, Some(finish));
        body.push(']');
        push_usage(&mut body, usage);
        body.push('}');
        body
    }
}

fn close_choice(text: &mut String, content: &str, finish: Option<Finish>) {
    let _ = write!(
        text,
        "{{\"index\":0,{content},\"logprobs\":null,\"finish_reason\":"
    );
    match finish {
        Some(finish) => {
            let _ = write!(text, "\"{}\"", finish.as_str());
        }
        None => text.push_str("null"),
    }
    text.push_str(",\"stop_reason\":null}");
}

fn push_usage(text: &mut String, usage: Usage) {
    let Usage {
        prompt_tokens,
        completion_tokens,
        cached_tokens,
    } = usage;
    let total_tokens = u64::from(prompt_tokens) + u64::from(completion_tokens);
    let _ = write!(
        text,
        ",\"usage\":{{\"prompt_tokens\":{prompt_tokens},\"total_tokens\":{total_tokens},\
         \"completion_tokens\":{completion_tokens},\
         \"prompt_tokens_details\":{{\"cached_tokens\":{cached_tokens}}}}}"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tokenize;

    const USAGE: Usage = Usage {
        prompt_tokens: 7,
        completion_tokens: 2,
        cached_tokens: 4,
    };

    fn shapes(protocol: Protocol) -> String {
        let writer = Writer::new(protocol, "r\"1", 1_795_489_692, "llama-3.1-8b");
        let sea = tokenize(" sea")[0];
        let mut shapes = writer.opening_chunk().unwrap_or_default();
        shapes += &writer.token_chunk(sea, None, None);
        shapes += &writer.token_chunk(sea, Some(Finish::Length), Some(USAGE));
        shapes += &writer.token_chunk(Token::END, Some(Finish::Stop), None);
        shapes += &writer.usage_chunk(USAGE);
        shapes += &writer.whole(" the \"sea\"", Finish::Stop, USAGE);
        for line in shapes.lines().filter(|line| !line.is_empty()) {
            let json = line.strip_prefix("data: ").unwrap_or(line);
            serde_json::from_str::<serde_json::Value>(json).unwrap();
        }
        shapes
    }

    #[test]
    fn completions_have_this_shape() {
        insta::assert_snapshot!(shapes(Protocol::Completion));
    }

    #[test]
    fn chat_has_this_shape() {
        insta::assert_snapshot!(shapes(Protocol::Chat));
    }
}
