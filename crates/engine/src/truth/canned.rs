//! The bytes of every answer, made once. Pure.
//!
//! All streams carry the same id, time and words: a client that measures does not care, and a
//! token costs no formatting.

use super::http::Reply;

const MODEL: &str = "truth";
const WORDS: [&str; 8] = ["sea", "sky", "air", "ice", "sun", "oak", "fog", "dew"];

pub(super) const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\
    content-type: text/event-stream; charset=utf-8\r\n\
    transfer-encoding: chunked\r\n\r\n";

/// Token chunks, ready to be sent.
#[derive(Debug)]
pub(super) struct Canned {
    tokens: [Vec<u8>; WORDS.len()],
    last: Vec<u8>,
}

impl Canned {
    pub(super) fn new() -> Self {
        Self {
            tokens: WORDS.map(|word| chunk(&event(word, "null"))),
            last: chunk(&event("end", "\"length\"")),
        }
    }

    /// The chunk of a token that is not the last.
    pub(super) fn token(&self, index: u32) -> &[u8] {
        &self.tokens[index as usize % WORDS.len()]
    }

    /// The chunk of the last token and all that follows it.
    pub(super) fn last(&self, reply: &Reply) -> Vec<u8> {
        let mut bytes = self.last.clone();
        if reply.usage {
            let head = event_head();
            let usage = usage(reply.tokens);
            bytes.extend(chunk(&format!("data: {head}\"choices\":[],{usage}}}\n\n")));
        }
        bytes.extend(chunk("data: [DONE]\n\n"));
        bytes.extend(b"0\r\n\r\n");
        bytes
    }
}

/// The whole answer to a completion that is not streamed.
pub(super) fn whole(reply: &Reply) -> Vec<u8> {
    let text: String = (0..reply.tokens as usize)
        .map(|k| format!(" {}", WORDS[k % WORDS.len()]))
        .collect();
    let (head, usage) = (event_head(), usage(reply.tokens));
    let choice = format!("{{\"index\":0,\"text\":\"{text}\",\"finish_reason\":\"length\"}}");
    answer("200 OK", &format!("{head}\"choices\":[{choice}],{usage}}}"))
}

pub(super) fn models() -> Vec<u8> {
    let card = format!(
        "{{\"id\":\"{MODEL}\",\"object\":\"model\",\"created\":0,\"owned_by\":\"spillpoint\",\
         \"max_model_len\":1000000,\"compute\":\"none\"}}"
    );
    answer(
        "200 OK",
        &format!("{{\"object\":\"list\",\"data\":[{card}]}}"),
    )
}

pub(super) fn unknown() -> Vec<u8> {
    let error = r#"{"error":{"message":"Not Found","type":"Not Found","param":null,"code":404}}"#;
    answer("404 Not Found", error)
}

/// The answer after which a connection is closed.
pub(super) fn malformed(why: &str) -> Vec<u8> {
    let error = format!(
        "{{\"error\":{{\"message\":\"{why}\",\"type\":\"Bad Request\",\"param\":null,\"code\":400}}}}"
    );
    answer("400 Bad Request", &error)
}

pub(super) fn answer(status: &str, body: &str) -> Vec<u8> {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn event(word: &str, finish: &str) -> String {
    let head = event_head();
    format!(
        "data: {head}\"choices\":[{{\"index\":0,\"text\":\" {word}\",\"logprobs\":null,\
         \"finish_reason\":{finish},\"stop_reason\":null}}]}}\n\n"
    )
}

fn event_head() -> String {
    format!(
        "{{\"id\":\"cmpl-truth\",\"object\":\"text_completion\",\"created\":0,\"model\":\"{MODEL}\","
    )
}

fn usage(tokens: u32) -> String {
    let total = u64::from(tokens) + 1;
    format!(
        "\"usage\":{{\"prompt_tokens\":1,\"total_tokens\":{total},\"completion_tokens\":{tokens},\
         \"prompt_tokens_details\":{{\"cached_tokens\":0}}}}"
    )
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_this_shape() {
        let reply = Reply {
            tokens: 2,
            usage: true,
            id: None,
        };
        let canned = Canned::new();
        let bytes = [STREAM_HEAD, canned.token(0), &canned.last(&reply)].concat();
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap().replace('\r', ""));
    }

    #[test]
    fn bodies_are_json() {
        let reply = Reply {
            tokens: 3,
            usage: false,
            id: None,
        };
        for bytes in [whole(&reply), models(), unknown(), malformed("no")] {
            let text = String::from_utf8(bytes).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}", body.len())));
            serde_json::from_str::<serde_json::Value>(body).unwrap();
        }
    }
}
