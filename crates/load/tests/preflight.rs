//! What is told of a server before anything is measured.

mod scripted;

use load::{
    Adapter, AdapterPolicy, Adapters, Api, LoraDialect, PreflightError, calibrate, load_adapter,
    preflight, token_pool,
};
use scripted::{MODELS, Server, Then, answer, good, preflight_of};
use std::{io::Write, net::TcpListener};

#[test]
fn a_good_server_is_understood() {
    let server = Server::start(|_, stream| good(stream));
    let target = preflight(&server.wish()).unwrap();
    assert_eq!((target.model.as_str(), target.api), ("m", Api::Completions));
    assert_eq!(target.server.as_deref(), Some("scripted"));
    assert!(target.accepts.ignore_eos && target.accepts.min_tokens && target.accepts.usage);
}

#[test]
fn fields_that_are_refused_are_left_out() {
    let server = Server::start(|request, stream| {
        if request.body.contains("min_tokens") {
            return answer(stream, "400 Bad Request", r#"{"error":"extra fields"}"#);
        }
        good(stream)
    });
    let target = preflight(&server.wish()).unwrap();
    assert!(target.accepts.ignore_eos && !target.accepts.min_tokens);
}

#[test]
fn chat_is_taken_where_there_are_no_completions() {
    let server = Server::start(|request, stream| match request.path.as_str() {
        "/v1/completions" => answer(stream, "404 Not Found", r#"{"detail":"Not Found"}"#),
        _ => good(stream),
    });
    assert_eq!(preflight(&server.wish()).unwrap().api, Api::Chat);
    let mut wish = server.wish();
    wish.api = Some(Api::Completions);
    let error = preflight(&wish).unwrap_err();
    assert!(matches!(error, PreflightError::ApiNotSpoken { .. }));
    assert!(error.to_string().contains("Not Found"), "{error}");
}

#[test]
fn a_model_that_is_not_there_is_told_with_those_that_are() {
    let server = Server::start(|_, stream| good(stream));
    let mut wish = server.wish();
    wish.model = Some("other".to_owned());
    let error = preflight(&wish).unwrap_err().to_string();
    assert!(error.contains("no model \"other\"; it has: m"), "{error}");
}

#[test]
fn every_way_not_to_be_a_server_has_its_message() {
    let message = |error: PreflightError| error.to_string();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let wish = load::Wish::new(format!("http://{address}").parse().unwrap());
    let refused = preflight(&wish).unwrap_err();
    assert!(matches!(refused, PreflightError::Refused { .. }));
    assert!(message(refused).contains("nothing listens there"));

    let not_http = preflight_of(|_, stream| {
        let _ = stream.write_all(b"220 smtp ready\r\n");
        Then::Close
    });
    assert!(
        matches!(not_http, Err(PreflightError::NotHttp { .. })),
        "{not_http:?}"
    );

    let no_list = preflight_of(|_, stream| answer(stream, "404 Not Found", "nope"));
    assert!(matches!(
        no_list,
        Err(PreflightError::NoModelList { status: 404, .. })
    ));

    let no_json = preflight_of(|_, stream| answer(stream, "200 OK", "<html>"));
    assert!(matches!(
        no_json,
        Err(PreflightError::NoModelList { status: 200, .. })
    ));

    let empty = preflight_of(|_, stream| answer(stream, "200 OK", r#"{"data":[]}"#));
    assert!(matches!(empty, Err(PreflightError::NoModels { .. })));

    let loading = preflight_of(|_, stream| {
        answer(
            stream,
            "503 Service Unavailable",
            r#"{"error":{"message":"Loading model"}}"#,
        )
    });
    assert!(message(loading.unwrap_err()).contains("not ready (Loading model)"));

    let unauthorized = preflight_of(|request, stream| match request.path.as_str() {
        "/v1/models" => answer(stream, "200 OK", MODELS),
        _ => answer(
            stream,
            "401 Unauthorized",
            r#"{"error":{"message":"Invalid API Key"}}"#,
        ),
    });
    assert!(message(unauthorized.unwrap_err()).contains("OPENAI_API_KEY"));
}

#[test]
fn triton_is_found_by_asking() {
    let server = Server::start_raw(|request, stream| match request.path.as_str() {
        "/v2/repository/index" => {
            answer(stream, "200 OK", r#"[{"name":"ensemble","state":"READY"}]"#)
        }
        "/v2/models/ensemble/generate_stream" if request.body.contains("return_num") => {
            answer(stream, "400 Bad Request", r#"{"error":"unexpected input"}"#)
        }
        "/v2/models/ensemble/generate_stream" => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            let _ =
                stream.write_all(format!("{head}data: {{\"text_output\":\"a\"}}\n\n").as_bytes());
            Then::Close
        }
        _ => answer(stream, "404 Not Found", ""),
    });
    let target = preflight(&server.wish()).unwrap();
    assert_eq!(
        (target.model.as_str(), target.api),
        ("ensemble", Api::Triton)
    );
    assert!(!target.accepts.usage);
}

#[test]
fn ids_are_used_where_the_server_counts_them_exactly() {
    let counting = |surplus: usize| {
        Server::start(move |request, stream| {
            if request.path == "/tokenize" {
                let ids: Vec<u32> = (1..2_000).collect();
                return answer(stream, "200 OK", &format!("{{\"tokens\":{ids:?}}}"));
            }
            let ids = request.body.split(['[', ']']).nth(1).unwrap_or_default();
            let tokens = ids.split(',').count() + surplus;
            let events = format!(
                "data: {{\"choices\":[{{\"text\":\"a\",\"finish_reason\":\"length\"}}],\
                 \"usage\":{{\"prompt_tokens\":{tokens},\"completion_tokens\":1}}}}\n\ndata: [DONE]\n\n"
            );
            let body = scripted::chunk(&events) + "0\r\n\r\n";
            let _ = stream.write_all(format!("{}{body}", scripted::STREAM_HEAD).as_bytes());
            Then::KeepOpen
        })
    };
    let exact = counting(0);
    let mut phase = scripted::short_phase(1);
    phase.workload = load::Workload::new(77, 1, 1, 2);
    phase.workload.token_pool = token_pool(&exact.target()).unwrap();
    assert!(phase.workload.token_pool.is_some());
    let (rows, _) = scripted::run_phase(&exact.target(), &phase);
    assert_eq!(rows[0].0.prompt_tokens, Some(77));
    let inexact = counting(1);
    assert_eq!(token_pool(&inexact.target()).unwrap(), None);
}

#[test]
fn calibration_learns_the_servers_count() {
    // Counts two tokens a word and ten for itself.
    let server = Server::start(|request, stream| {
        let words = request.body.split("\"prompt\":\"").nth(1).unwrap();
        let words = words.split('"').next().unwrap().split(' ').count();
        let usage = format!(
            "data: {{\"choices\":[{{\"text\":\"a\",\"finish_reason\":\"length\"}}],\
             \"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":1}}}}\n\ndata: [DONE]\n\n",
            10 + 2 * words
        );
        let body = scripted::chunk(&usage) + "0\r\n\r\n";
        let _ = stream.write_all(format!("{}{body}", scripted::STREAM_HEAD).as_bytes());
        Then::KeepOpen
    });
    let target = server.target();
    let mut phase = scripted::short_phase(1);
    phase.workload = load::Workload::new(1_000, 2, 1, 2);
    phase.lengths = calibrate(&target, 1, 2, 1_000).unwrap();
    let (rows, _) = scripted::run_phase(&target, &phase);
    for (row, _) in rows
        .iter()
        .filter(|(row, _)| row.outcome == record::Outcome::Ok)
    {
        assert!(row.prompt_tokens.unwrap().abs_diff(1_000) <= 1, "{row:?}");
    }
}

#[test]
fn the_adapter_that_was_asked_is_in_the_row() {
    let server = Server::start(|request, stream| match request.path.as_str() {
        "/v1/load_lora_adapter" if request.body.contains("bad") => answer(
            stream,
            "400 Bad Request",
            r#"{"error":{"message":"no such file"}}"#,
        ),
        "/v1/load_lora_adapter" => answer(stream, "200 OK", "Success"),
        // Each adapter answers its own number of tokens.
        _ => {
            let nth = (0..3).find(|nth| request.body.contains(&format!("\"model\":\"a{nth}\"")));
            let end = scripted::end(nth.map_or(99, |nth| nth + 1));
            let head = scripted::STREAM_HEAD;
            let _ = stream.write_all(format!("{head}{}{end}", scripted::token("x")).as_bytes());
            Then::KeepOpen
        }
    });
    let target = server.target();
    let list: Vec<Adapter> = (0..3)
        .map(|nth| Adapter {
            name: format!("a{nth}"),
            path: Some("/loras/a".to_owned()),
        })
        .collect();
    load_adapter(&target, &list[0]).unwrap();
    let bad = Adapter {
        name: "bad".to_owned(),
        path: None,
    };
    let error = load_adapter(&target, &bad).unwrap_err().to_string();
    assert!(error.contains("no such file"), "{error}");
    let mut phase = scripted::short_phase(2);
    let adapters = Adapters::new(list, LoraDialect::Model, AdapterPolicy::Storm, 1).unwrap();
    phase.workload.adapters = Some(adapters);
    let (rows, _) = scripted::run_phase(&target, &phase);
    let mut told = std::collections::HashSet::new();
    for (row, _) in rows
        .iter()
        .filter(|(row, _)| row.outcome == record::Outcome::Ok)
    {
        let name = format!("a{}", row.output_tokens.unwrap() - 1);
        assert_eq!(row.adapter.as_deref(), Some(name.as_str()));
        told.insert(name);
    }
    assert_eq!(told.len(), 3);
}
