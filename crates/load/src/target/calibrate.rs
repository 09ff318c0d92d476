//! How a server counts a prompt's tokens.

use super::{
    PreflightError, Target,
    preflight::{ask, block_on},
};
use crate::{
    dialect::{Api, Prompt},
    fetch::fetch,
    prompt::{
        ExactLengths, LengthModel, PromptKey, TokenPool, Tokenizer, WordPool, one_token_words,
        probes, write_words,
    },
    workload::{Shape, Workload},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::time::timeout;

/// Measures how many tokens the server makes of words: two requests for one token each. Blocks.
pub fn calibrate(
    target: &Target,
    seed: u64,
    salt: u64,
    prompt_tokens: u32,
) -> Result<LengthModel, PreflightError> {
    block_on(calibrate_by_usage(target, seed, salt, prompt_tokens))?
}

/// Finds token ids that the server takes as ordinary text, by its tokenizer if it has one, and
/// makes sure that it counts a prompt of ids as exactly as long as it is. None where it doesn't, or
/// speaks another API: then lengths are corrected by `usage` alone. Blocks.
pub fn token_pool(target: &Target) -> Result<Option<TokenPool>, PreflightError> {
    block_on(find_token_pool(target))
}

/// Makes sure that the server counts as the tokenizer does, but for a fixed number of tokens that it
/// adds, and learns that number: two requests for one token each. A server that gives no counts is
/// taken to have this tokenizer and to add nothing. Blocks.
pub fn fit_tokenizer(
    target: &Target,
    tokenizer: &Tokenizer,
    seed: u64,
    salt: u64,
) -> Result<Tokenizer, PreflightError> {
    block_on(fit(target, tokenizer, seed, salt))?
}

/// Asks the server's own tokenizer (`/tokenize`) for words that are one token each, and makes sure
/// that it counts prompts of them as it should: some ten requests. None where it has no tokenizer to ask,
/// or gives no counts. Blocks.
pub fn word_pool(
    target: &Target,
    seed: u64,
    salt: u64,
) -> Result<Option<WordPool>, PreflightError> {
    block_on(find_word_pool(target, seed, salt))?
}

/// Finds what makes prompts exact: the tokenizer that is named, else the server's own, else token ids,
/// which can't repeat what was said and so serve no conversation. Blocks.
pub fn exact_lengths(
    target: &Target,
    named: Option<&Tokenizer>,
    converses: bool,
    seed: u64,
    salt: u64,
) -> Result<ExactLengths, PreflightError> {
    let mut exact = ExactLengths::default();
    if let Some(tokenizer) = named {
        exact.tokenizer = Some(fit_tokenizer(target, tokenizer, seed, salt)?);
        return Ok(exact);
    }
    exact.word_pool = word_pool(target, seed, salt)?;
    if exact.word_pool.is_none() && !converses {
        exact.token_pool = token_pool(target)?;
    }
    Ok(exact)
}

/// Tokens, about, of the shorter calibration prompt.
const SHORT_PROMPT: u32 = 100;
/// How long a calibration request may take: its prompt may be the longest of all.
const CALIBRATION_LIMIT: Duration = Duration::from_secs(600);

/// A user that no phase has: calibration's nonces stay unused.
const NOBODY: u32 = u32::MAX;

async fn calibrate_by_usage(
    target: &Target,
    seed: u64,
    salt: u64,
    prompt_tokens: u32,
) -> Result<LengthModel, PreflightError> {
    let guess = LengthModel::guess();
    if !target.accepts.usage {
        return Ok(guess);
    }
    let shape = |sequence, tokens| {
        let key = PromptKey {
            user: NOBODY,
            sequence,
        };
        Workload::new(tokens, 1, seed, salt).shape(key, None)
    };
    let short = count(target, &shape(0, SHORT_PROMPT), &guess).await?;
    let Some(short) = short else {
        return Ok(guess);
    };
    // Counts the overhead to the words, so errs on the side of a prompt too short.
    let rough = LengthModel::through((0, 0), short);
    let long_tokens = prompt_tokens.max(2 * SHORT_PROMPT);
    let long = count(target, &shape(1, long_tokens), &rough).await?;
    Ok(long.map_or(rough, |long| LengthModel::through(short, long)))
}

/// The words of a prompt, and the tokens that the server counts in it.
async fn count(
    target: &Target,
    shape: &Shape,
    lengths: &LengthModel,
) -> Result<Option<(u32, u32)>, PreflightError> {
    let (text, words) = write_words(shape, lengths);
    let tokens = count_text(target, &text, shape.prompt_tokens).await?;
    Ok(tokens.map(|tokens| (words, tokens)))
}

/// The tokens that the server counts in a prompt that should have about so many.
async fn count_text(
    target: &Target,
    text: &str,
    prompt_tokens: u32,
) -> Result<Option<u32>, PreflightError> {
    let asked = ask(target, Prompt::Text(text.into()), 1, CALIBRATION_LIMIT).await;
    let seen = asked.map_err(|(failed, _)| PreflightError::PromptRefused {
        url: target.url.clone(),
        prompt_tokens,
        words: failed.words,
    })?;
    Ok(seen.usage.and_then(|usage| usage.prompt_tokens))
}

/// Lengths at which a tokenizer has to agree with the server.
const FITTING_PROMPTS: [u32; 2] = [SHORT_PROMPT, 4 * SHORT_PROMPT];

/// What the server counts beyond a count of our own, if that is always the same. None where it gives
/// no counts.
async fn surplus(
    target: &Target,
    text: impl Fn(&Shape) -> (String, u32),
    seed: u64,
    salt: u64,
) -> Result<Option<i64>, PreflightError> {
    let mut surplus = None;
    for (sequence, prompt_tokens) in (4..).zip(FITTING_PROMPTS) {
        let key = PromptKey {
            user: NOBODY,
            sequence,
        };
        let shape = Workload::new(prompt_tokens, 1, seed, salt).shape(key, None);
        let (text, local) = text(&shape);
        let Some(server) = count_text(target, &text, prompt_tokens).await? else {
            return Ok(None);
        };
        let more = i64::from(server) - i64::from(local);
        if *surplus.get_or_insert(more) != more {
            let url = target.url.clone();
            return Err(PreflightError::OtherTokenizer { url, local, server });
        }
    }
    Ok(surplus)
}

async fn fit(
    target: &Target,
    tokenizer: &Tokenizer,
    seed: u64,
    salt: u64,
) -> Result<Tokenizer, PreflightError> {
    let text = |shape: &Shape| {
        let (text, _) = write_words(shape, &LengthModel::guess());
        let count = tokenizer.count(&text);
        (text, count)
    };
    let surplus = surplus(target, text, seed, salt).await?;
    Ok(tokenizer.with_surplus(surplus.unwrap_or_default()))
}

async fn find_word_pool(
    target: &Target,
    seed: u64,
    salt: u64,
) -> Result<Option<WordPool>, PreflightError> {
    let mut words = Vec::new();
    for (probed, text) in probes() {
        let Some(tokens) = tokenize(target, &text).await else {
            return Ok(None);
        };
        words.extend(one_token_words(probed, &tokens));
    }
    let Some(pool) = WordPool::new(words) else {
        return Ok(None);
    };
    let text = |shape: &Shape| (pool.write(shape), shape.prompt_tokens);
    match surplus(target, text, seed, salt).await {
        Ok(surplus) => Ok(surplus.map(|surplus| pool.with_surplus(surplus))),
        Err(PreflightError::OtherTokenizer { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ordinary text in every vocabulary that LLM servers have: special tokens sit at its ends.
const COMMON_IDS: std::ops::Range<u32> = 1_000..20_000;
/// How many ids the server has to count exactly.
const PROOF_TOKENS: u32 = 300;
/// Tokens, about, of the text that is given to a tokenizer: most of the generator's words.
const POOL_TEXT_TOKENS: u32 = 8_000;
const TOKENIZER_LIMIT: Duration = Duration::from_secs(30);

async fn find_token_pool(target: &Target) -> Option<TokenPool> {
    if target.api != Api::Completions || !target.accepts.usage {
        return None;
    }
    let own = tokenizers_ids(target).await.unwrap_or_default();
    for ids in [own, COMMON_IDS.collect()] {
        let Some(pool) = TokenPool::new(ids) else {
            continue;
        };
        let key = PromptKey {
            user: NOBODY,
            sequence: 2,
        };
        let shape = Workload::new(PROOF_TOKENS, 1, 0, 0).shape(key, None);
        let prompt = Prompt::Ids(pool.write(&shape));
        let asked = ask(target, prompt, 1, CALIBRATION_LIMIT).await.ok();
        if asked.and_then(|seen| seen.usage?.prompt_tokens) == Some(PROOF_TOKENS) {
            return Some(pool);
        }
    }
    None
}

/// The ids of the generator's own words, by the server's `/tokenize`.
async fn tokenizers_ids(target: &Target) -> Option<Vec<u32>> {
    let key = PromptKey {
        user: NOBODY,
        sequence: 3,
    };
    let shape = Workload::new(POOL_TEXT_TOKENS, 1, 0, 0).shape(key, None);
    let (text, _) = write_words(&shape, &LengthModel::guess());
    let mut tokens = tokenize(target, &text).await?;
    // A start token, which the server adds, is no ordinary text.
    let start = (!tokens.is_empty()).then(|| tokens.remove(0));
    tokens.retain(|&token| Some(token) != start);
    Some(tokens)
}

/// A text's tokens by the server's `/tokenize`, if it has that.
async fn tokenize(target: &Target, text: &str) -> Option<Vec<u32>> {
    #[derive(Serialize)]
    struct Tokenize<'a> {
        model: &'a str,
        /// vLLM's field, and llama.cpp's.
        prompt: &'a str,
        content: &'a str,
    }
    #[derive(Deserialize)]
    struct Tokenized {
        tokens: Vec<u32>,
    }
    let tokenize = Tokenize {
        model: &target.model,
        prompt: text,
        content: text,
    };
    let body = serde_json::to_vec(&tokenize).ok()?;
    let head = target
        .url
        .post_head("/tokenize", target.api_key.as_ref(), body.len());
    let asked = fetch(target.endpoint(), &head, &body);
    let answer = timeout(TOKENIZER_LIMIT, asked).await.ok()?.ok()?;
    if answer.status != 200 {
        return None;
    }
    let Tokenized { tokens } = serde_json::from_slice(&answer.body).ok()?;
    Some(tokens)
}
