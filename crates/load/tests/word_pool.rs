//! Prompts of words that the server says are one token each.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod scripted;

use load::{Api, Target, word_pool};
use scripted::{STREAM_HEAD, Server, Then, answer, chunk, run_phase, short_phase};
use std::io::Write;

/// A token for a mark, and for every five letters of a word: their place in the alphabet.
fn tokens(text: &str) -> Vec<u32> {
    let mut tokens = Vec::new();
    for word in text.split_whitespace() {
        let letters = word.trim_end_matches(['.', ',', ':']);
        for piece in letters.as_bytes().chunks(5) {
            let digits = piece.iter().map(|&byte| u32::from(byte & 31));
            tokens.push(digits.fold(9, |id, digit| id * 32 + digit));
        }
        tokens.extend(word[letters.len()..].bytes().map(u32::from));
    }
    tokens
}

/// Counts as it tokenises, and `surplus(count)` for itself.
fn server(surplus: impl Fn(usize) -> usize + Send + Sync + 'static) -> Server {
    Server::start(move |request, stream| {
        let text = request.body.split("\"content\":\"").nth(1).unwrap();
        let tokens = tokens(text.split('"').next().unwrap());
        if request.path == "/tokenize" {
            return answer(stream, "200 OK", &format!("{{\"tokens\":{tokens:?}}}"));
        }
        let count = tokens.len() + surplus(tokens.len());
        let events = format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"a\"}},\"finish_reason\":\"length\"}}],\
             \"usage\":{{\"prompt_tokens\":{count},\"completion_tokens\":1}}}}\n\ndata: [DONE]\n\n"
        );
        let body = chunk(&events) + "0\r\n\r\n";
        let _ = stream.write_all(format!("{STREAM_HEAD}{body}").as_bytes());
        Then::KeepOpen
    })
}

fn chat(server: &Server) -> Target {
    let mut target = server.target();
    target.api = Api::Chat;
    target
}

#[test]
fn chats_are_exactly_as_long_as_wanted_without_a_local_tokenizer() {
    let server = server(|_| 21);
    let target = chat(&server);
    let mut phase = short_phase(1);
    phase.workload = load::Workload::new(555, 1, 1, 2);
    phase.workload.word_pool = word_pool(&target, 1, 2).unwrap();
    assert!(phase.workload.word_pool.is_some());
    let (rows, _) = run_phase(&target, &phase);
    let ended = rows.iter().filter(|(row, _)| row.status == Some(200));
    let counts: Vec<_> = ended.map(|(row, _)| row.prompt_tokens.unwrap()).collect();
    assert!(!counts.is_empty());
    assert!(counts.iter().all(|&count| count == 555), "{counts:?}");
}

#[test]
fn a_server_that_counts_otherwise_than_it_tokenises_has_no_pool() {
    let server = server(|count| count / 2);
    assert_eq!(word_pool(&chat(&server), 1, 2).unwrap(), None);
}

#[test]
fn a_server_without_a_tokenizer_has_no_pool() {
    let server = Server::start(|_, stream| answer(stream, "404 Not Found", "{}"));
    assert_eq!(word_pool(&chat(&server), 1, 2).unwrap(), None);
}
