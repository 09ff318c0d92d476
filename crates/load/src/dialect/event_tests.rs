use super::*;

fn token(text: &str) -> Option<Token> {
    read_event(text.as_bytes()).unwrap().token
}

#[test]
fn a_text_is_a_token() {
    let text = r#"{"choices":[{"text":" Paris","index":0,"logprobs":null,"finish_reason":null}]}"#;
    assert_eq!(token(text), Some(Token::Answer));
    let text = r#"{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"Hello"}}]}"#;
    assert_eq!(token(text), Some(Token::Answer));
    let text = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f"}}]}}]}"#;
    assert_eq!(token(text), Some(Token::Answer));
    for name in ["reasoning", "reasoning_content"] {
        let text = format!(r#"{{"choices":[{{"delta":{{"{name}":"hm"}}}}]}}"#);
        assert_eq!(token(&text), Some(Token::Reasoning));
    }
}

#[test]
fn a_role_alone_is_no_token() {
    for content in [r#""""#, "null"] {
        let text = format!(
            r#"{{"choices":[{{"delta":{{"role":"assistant","content":{content}}},"finish_reason":null}}]}}"#
        );
        assert_eq!(token(&text), None);
    }
    // Some servers repeat the role with every text.
    let text = r#"{"choices":[{"delta":{"role":"assistant","content":"a"}}]}"#;
    assert_eq!(token(text), Some(Token::Answer));
}

#[test]
fn a_token_may_have_no_text() {
    let text = r#"{"choices":[{"index":0,"text":"","finish_reason":null,"stop_reason":null,"token_ids":null}]}"#;
    assert_eq!(token(text), Some(Token::Silent));
    let text = r#"{"choices":[{"delta":{"content":""},"finish_reason":null,"token_ids":null}]}"#;
    assert_eq!(token(text), Some(Token::Silent));
    let event = read_event(br#"{"choices":[{"text":"","token_ids":[5,6]}]}"#).unwrap();
    assert_eq!(
        (event.token, event.token_count),
        (Some(Token::Silent), Some(2))
    );
    let text = r#"{"choices":[{"delta":{},"finish_reason":null}]}"#;
    assert_eq!(token(text), None);
}

#[test]
fn the_last_chunk_is_a_token_where_the_reason_rides_on_one() {
    // vLLM.
    let text = r#"{"choices":[{"index":0,"text":"","finish_reason":"length","stop_reason":null}]}"#;
    assert_eq!(token(text), Some(Token::Silent));
    let text =
        r#"{"choices":[{"delta":{"content":""},"finish_reason":"stop","stop_reason":null}]}"#;
    assert_eq!(token(text), Some(Token::Silent));
    // llama.cpp.
    let text = r#"{"choices":[{"text":"","index":0,"finish_reason":"length"}],"usage":{"completion_tokens":3,"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":3}}}"#;
    let event = read_event(text.as_bytes()).unwrap();
    assert_eq!((event.token, event.finished), (None, true));
    let usage = event.usage.unwrap();
    assert_eq!(usage.completion_tokens, Some(3));
    assert_eq!(usage.cached_tokens(), Some(3));
    let text = r#"{"choices":[{"finish_reason":"length","index":0,"delta":{}}]}"#;
    assert_eq!(token(text), None);
    // Any: with text.
    let text = r#"{"choices":[{"text":"a","finish_reason":"length"}]}"#;
    assert_eq!(token(text), Some(Token::Answer));
}

#[test]
fn what_is_no_chunk_of_text_bears_nothing() {
    let usage =
        r#"{"choices":[],"usage":{"prompt_tokens":2,"total_tokens":8,"completion_tokens":6}}"#;
    assert_eq!(token(usage), None);
    assert_eq!(
        token(r#"{"choices":[{"text":""}],"prompt_progress":{"total":9}}"#),
        None
    );
    let event = read_event(b"[DONE]").unwrap();
    assert!(event.done && event.token.is_none());
}

#[test]
fn the_answers_text_is_found_in_every_dialect() {
    assert_eq!(answer_text(br#"{"choices":[{"text":" a"}]}"#), " a");
    assert_eq!(
        answer_text(br#"{"choices":[{"delta":{"content":"b"}}]}"#),
        "b"
    );
    assert_eq!(
        answer_text(br#"{"choices":[{"delta":{"reasoning":"b"}}]}"#),
        ""
    );
    assert_eq!(answer_text(br#"{"text_output":"c"}"#), "c");
}

#[test]
fn tritons_events_are_tokens() {
    let text = r#"{"model_name":"ensemble","model_version":"1","text_output":" a"}"#;
    assert_eq!(token(text), Some(Token::Answer));
    assert_eq!(token(r#"{"text_output":""}"#), Some(Token::Silent));
    let text = r#"{"text_output":"b","num_input_tokens":[5],"num_output_tokens":7}"#;
    let usage = read_event(text.as_bytes()).unwrap().usage.unwrap();
    assert_eq!(
        (usage.prompt_tokens, usage.completion_tokens),
        (Some(5), Some(7))
    );
}

#[test]
fn an_error_under_status_200_is_told_in_the_servers_words() {
    let words = |text: &str| read_event(text.as_bytes()).unwrap().error;
    let text = r#"{"error":{"message":"out of blocks","code":500}}"#;
    assert_eq!(words(text).as_deref(), Some("out of blocks"));
    let text = r#"{"object":"error","message":"bad","type":"x","code":400}"#;
    assert_eq!(words(text).as_deref(), Some("bad"));
    assert_eq!(words(r#"{"choices":[],"error":null}"#), None);
}

#[test]
fn what_is_not_the_dialect_is_malformed() {
    for data in [
        &b"{"[..],
        b"hello",
        b"[]",
        b"{\"choices\":7}",
        b"{\"choices\":[{\"text\":\"\xff\"}]}",
    ] {
        assert!(
            read_event(data).is_err(),
            "{}",
            String::from_utf8_lossy(data)
        );
    }
}
