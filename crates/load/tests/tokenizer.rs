//! Prompt lengths by a local tokenizer, against a server that counts for itself.

#![cfg(feature = "tokenizer")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod scripted;

use load::{Api, PreflightError, Tokenizer, fit_tokenizer};
use scripted::{STREAM_HEAD, Server, Then, chunk, short_phase};
use std::io::Write;

/// A token a word, and one for each mark between them.
fn words_and_marks() -> Tokenizer {
    let json = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],
        "normalizer":null,"pre_tokenizer":{"type":"BertPreTokenizer"},"post_processor":null,
        "decoder":null,"model":{"type":"WordLevel","vocab":{"[UNK]":0},"unk_token":"[UNK]"}}"#;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    std::fs::write(&path, json).unwrap();
    Tokenizer::read(&path).unwrap()
}

/// Counts `each` tokens a word or mark, and seven for its template.
fn counting(each: usize) -> Server {
    Server::start(move |request, stream| {
        let prompt = request.body.split("\"content\":\"").nth(1).unwrap();
        let prompt = prompt.split('"').next().unwrap();
        let marks = prompt.matches([',', '.', ':']).count();
        let tokens = 7 + each * (prompt.split_whitespace().count() + marks);
        let events = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}},\"finish_reason\":\"length\"}}],\
             \"usage\":{{\"prompt_tokens\":{tokens},\"completion_tokens\":1}}}}\n\ndata: [DONE]\n\n"
        );
        let body = chunk(&events) + "0\r\n\r\n";
        let _ = stream.write_all(format!("{STREAM_HEAD}{body}").as_bytes());
        Then::KeepOpen
    })
}

fn chat(server: &Server) -> load::Target {
    let mut target = server.target();
    target.api = Api::Chat;
    target
}

#[test]
fn chats_are_exactly_as_long_as_wanted_from_the_first() {
    let server = counting(1);
    let target = chat(&server);
    let mut phase = short_phase(1);
    phase.workload = load::Workload::new(777, 1, 1, 2);
    phase.workload.tokenizer = Some(fit_tokenizer(&target, &words_and_marks(), 1, 2).unwrap());
    let (rows, _) = scripted::run_phase(&target, &phase);
    let ended = rows.iter().filter(|(row, _)| row.status == Some(200));
    let counts: Vec<_> = ended.map(|(row, _)| row.prompt_tokens.unwrap()).collect();
    assert!(!counts.is_empty());
    assert!(counts.iter().all(|&count| count == 777), "{counts:?}");
}

#[test]
fn another_models_tokenizer_is_refused() {
    let server = counting(2);
    let error = fit_tokenizer(&chat(&server), &words_and_marks(), 1, 2).unwrap_err();
    assert!(
        matches!(error, PreflightError::OtherTokenizer { .. }),
        "{error}"
    );
}
