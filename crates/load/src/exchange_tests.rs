use super::*;
use proptest::prelude::*;

const HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(events: &str) -> String {
    format!("{:x}\r\n{events}\r\n", events.len())
}

/// What llama.cpp sends for a chat of two tokens.
fn chat() -> String {
    let opening = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\n\n\
                   data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n";
    let answer = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello \u{e9}\"}}]}\n\n";
    let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}\n\n\
               data: {\"choices\":[],\"usage\":{\"completion_tokens\":3,\"prompt_tokens\":33,\
               \"prompt_tokens_details\":{\"cached_tokens\":32}}}\n\n";
    [
        HEAD,
        &chunk(opening),
        &chunk(": ping\n\n"),
        &chunk(answer),
        &chunk(end),
    ]
    .concat()
        + &chunk("data: [DONE]\n\n")
        + "0\r\n\r\n"
}

fn stamp(ns: u64) -> Stamp {
    Stamp {
        arrival: MonoNs(ns),
        read: MonoNs(ns + 7),
        source: StampSource::Kernel,
    }
}

/// Feeds the parts 10 ns apart, the first at 10 ns after sending.
fn feed(parts: &[&[u8]]) -> (Exchange, Result<Progress, Failed>) {
    let mut exchange = Exchange::new(Api::Chat, MonoNs(100));
    let mut last = Ok(Progress::Waiting);
    for (nth, part) in (1..).zip(parts) {
        last = exchange.feed(part, stamp(100 + nth * 10));
        if last.is_err() {
            break;
        }
    }
    (exchange, last)
}

fn ns(ns: u64) -> Option<Duration> {
    Some(Duration::from_nanos(ns))
}

#[test]
fn times_are_taken_where_the_tokens_are() {
    let text = chat();
    let at = |what: &str| text.find(what).unwrap();
    let cuts = [
        0,
        HEAD.len(),
        at("data: {\"choices\":[{\"delta\":{\"content"),
        at("data: {\"choices\":[{\"delta\":{},"),
        at("data: [DONE]"),
        text.len() - 5,
        text.len(),
    ];
    let parts: Vec<&[u8]> = cuts
        .windows(2)
        .map(|cut| &text.as_bytes()[cut[0]..cut[1]])
        .collect();
    let (exchange, last) = feed(&parts);
    assert_eq!(last, Ok(Progress::Complete));
    assert!(exchange.is_reusable());
    let seen = exchange.seen;
    assert_eq!(
        (seen.ttfb, seen.ttft(), seen.ttfa, seen.e2e()),
        (ns(10), ns(20), ns(30), ns(30))
    );
    assert_eq!(seen.output_tokens(), Some(3));
    assert_eq!(seen.tpot(), ns(5));
    assert_eq!(seen.client_lag(), ns(7));
    assert_eq!(seen.answered, Some(MonoNs(150)));
}

#[test]
fn a_stream_is_answered_before_its_framing_ends() {
    let text = chat();
    let (exchange, last) = feed(&[&text.as_bytes()[..text.len() - 5]]);
    assert_eq!(last, Ok(Progress::Answered));
    assert!(!exchange.is_reusable());
    let mut exchange = exchange;
    assert_eq!(exchange.close(), Ok(()));
}

#[test]
fn one_token_has_no_tpot() {
    let text = "data: {\"choices\":[{\"text\":\"a\",\"finish_reason\":\"stop\"}],\
                \"usage\":{\"completion_tokens\":1}}\n\ndata: [DONE]\n\n";
    let (exchange, _) = feed(&[HEAD.as_bytes(), chunk(text).as_bytes()]);
    assert_eq!(exchange.seen.output_tokens(), Some(1));
    assert_eq!(exchange.seen.tpot(), None);
}

#[test]
fn a_refusal_keeps_the_connection_and_the_words() {
    let text = "HTTP/1.1 400 Bad Request\r\ncontent-length: 16\r\n\r\n{\"error\":\"no\"}\n\n";
    let (exchange, last) = feed(&[text.as_bytes()]);
    assert_eq!(last, Err(Failed::new(Failure::Status, "no")));
    assert!(exchange.is_reusable());
    let (_, last) = feed(&[b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"]);
    assert_eq!(last, Err(Failed::new(Failure::Status, "no reason given")));
}

#[test]
fn bytes_after_the_end_spoil_the_connection() {
    let text = chat() + "HTTP/1.1 200 OK\r\n";
    let (exchange, last) = feed(&[text.as_bytes()]);
    assert_eq!(last, Ok(Progress::Complete));
    assert!(!exchange.is_reusable());
}

#[test]
fn a_close_is_told_by_where_it_happens() {
    let closed = |text: &str| {
        let (mut exchange, last) = feed(&[text.as_bytes()]);
        last.and_then(|_| exchange.close()).unwrap_err().failure
    };
    let text = chat();
    assert_eq!(closed("HTTP/1.1 20"), Failure::Truncated);
    assert_eq!(closed(&text[..text.len() / 2]), Failure::Truncated);
    assert_eq!(
        closed("HTTP/1.1 500 Oops\r\ncontent-length: 9\r\n\r\nno"),
        Failure::Status
    );
    assert_eq!(closed("HTTP/1.1 502 Bad\r\n\r\nproxy"), Failure::Status);
}

proptest! {
    #[test]
    fn any_split_of_the_bytes_ends_the_same(
        damage in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut bytes = chat().into_bytes();
        if let Some((at, byte)) = damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let cuts = cuts.iter().map(|cut| cut.index(bytes.len() + 1));
        crate::any_split::check(Api::Chat, &bytes, cuts);
    }
}
