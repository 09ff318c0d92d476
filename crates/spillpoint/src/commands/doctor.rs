//! `spillpoint doctor`: what would stop or spoil a run here, and the remedy.

use super::api_key::api_key;
use crate::{
    cli,
    exit::{Exit, Result},
    named_file::is_there,
};
use load::{ApiKey, Wish};
use probe::{
    Roots,
    doctor::{Finding, Judgement, examine, gather},
};
use std::{
    io::{self, Write},
    time::Duration,
};

/// How long a server may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &cli::Doctor) -> Result {
    is_there(&args.storage)?;
    let mut findings = examine(&gather(&Roots::default(), &args.storage));
    if let Some(url) = &args.url {
        let key = api_key(args.api_key_file.as_deref())?;
        findings.push(server(url, key));
    }
    let mut out = io::stdout().lock();
    for finding in &findings {
        writeln!(out, "{finding}")?;
    }
    let count = |judgement| {
        findings
            .iter()
            .filter(|it| it.judgement == judgement)
            .count()
    };
    let (stops, spoils) = (count(Judgement::Stops), count(Judgement::Spoils));
    writeln!(
        out,
        "{} facts: {stops} stop a run, {spoils} may spoil it",
        findings.len()
    )?;
    Ok(if stops > 0 { Exit::Invalid } else { Exit::Done })
}

/// What the server says of itself, or why it can't be measured.
fn server(url: &load::BaseUrl, api_key: Option<ApiKey>) -> Finding {
    let mut wish = Wish::new(url.clone());
    wish.api_key = api_key;
    wish.timeout = ANSWER;
    match load::preflight(&wish) {
        Ok(target) => Finding {
            topic: "server",
            fact: format!("{url} serves {} over {}", target.model, target.api.name()),
            judgement: Judgement::Good,
            remedy: None,
        },
        Err(error) => Finding {
            topic: "server",
            fact: error.to_string(),
            judgement: Judgement::Stops,
            remedy: None,
        },
    }
}
