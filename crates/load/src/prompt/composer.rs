//! The thread that writes request bodies, so that a long prompt never delays a socket.

use super::{LengthModel, PromptKey, mix, write_words};
use crate::{
    dialect::{Api, Ask, LoraAsk, Prompt, write_body},
    target::Target,
    workload::{Shape, TraceShape, Workload},
};
use std::{
    borrow::Cow,
    sync::{Arc, mpsc},
};
use tokio::sync::oneshot;

/// What the composer is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Write this request's body.
    Compose {
        key: PromptKey,
        /// What a trace says of it.
        trace: Option<TraceShape>,
        /// What was said before in this conversation.
        history: Arc<History>,
        reply: oneshot::Sender<Composed>,
    },
    /// The server counted so many tokens in a prompt of so many words.
    Observed { words: u32, tokens: u32 },
}

/// A conversation so far.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The user's and the server's texts in turn.
    pub(crate) said: Vec<String>,
    /// The tokens in them, by the server's count.
    pub(crate) tokens: u32,
}

/// A request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) body: Vec<u8>,
    /// The prompt's words, where the generator wrote words.
    pub(crate) words: Option<u32>,
    pub(crate) prompt_tokens: u32,
    /// The prompt's text, where the conversation goes on.
    pub(crate) text: Option<String>,
    pub(crate) adapter: Option<String>,
}

/// Writes request bodies to order and keeps the length model.
#[derive(Debug)]
pub(crate) struct Composer<'a> {
    pub(crate) target: &'a Target,
    pub(crate) workload: &'a Workload,
    pub(crate) lengths: LengthModel,
}

impl Composer<'_> {
    /// Works until nobody can order any more; gives back the model as corrected.
    pub(crate) fn run(mut self, orders: mpsc::Receiver<Order>) -> LengthModel {
        let mut nth = 0;
        for order in orders {
            match order {
                Order::Compose {
                    key,
                    trace,
                    history,
                    reply,
                } => {
                    // A user that is gone needs no prompt.
                    let _ = reply.send(self.compose(key, trace.as_ref(), &history, nth));
                    nth += 1;
                }
                Order::Observed { words, tokens } => self.lengths.observe(words, tokens),
            }
        }
        self.lengths
    }

    /// The `nth` request of the phase.
    fn compose(
        &self,
        key: PromptKey,
        trace: Option<&TraceShape>,
        history: &History,
        nth: u64,
    ) -> Composed {
        let workload = self.workload;
        let shape = workload.shape(key, trace);
        let (prompt, words) = self.prompt(&shape, nth);
        let adapters = workload.adapters.as_ref();
        let place = adapters.map(|it| it.pick(key, nth, mix(!workload.seed, key)));
        let lora = adapters
            .zip(place)
            .map(|(adapters, place)| LoraAsk { adapters, place });
        let accepts = self.target.accepts;
        let ask = Ask {
            model: &self.target.model,
            history: &history.said,
            prompt,
            max_tokens: shape.max_tokens,
            temperature: workload.temperature,
            ignore_eos: accepts.ignore_eos,
            min_tokens: accepts.min_tokens,
            usage: accepts.usage,
            lora,
        };
        Composed {
            body: write_body(self.target.api, &ask),
            // What was said before is not of the generator's making.
            words: words.filter(|_| history.said.is_empty()),
            prompt_tokens: shape.prompt_tokens.saturating_add(history.tokens),
            text: match (workload.converses(), &ask.prompt) {
                (true, Prompt::Text(text)) => Some(text.clone().into_owned()),
                _ => None,
            },
            adapter: lora.map(|lora| lora.adapter().name.clone()),
        }
    }

    fn prompt(&self, shape: &Shape, nth: u64) -> (Prompt<'_>, Option<u32>) {
        if let Some(texts) = &self.workload.texts {
            return (Prompt::Text(Cow::Borrowed(texts.nth(nth))), None);
        }
        if let Some(pool) = &self.workload.word_pool {
            return (Prompt::Text(Cow::Owned(pool.write(shape))), None);
        }
        if let Some(tokenizer) = &self.workload.tokenizer {
            let text = tokenizer.write(shape, &self.lengths);
            return (Prompt::Text(Cow::Owned(text)), None);
        }
        match &self.workload.token_pool {
            Some(pool) if self.target.api == Api::Completions && !self.workload.converses() => {
                (Prompt::Ids(pool.write(shape)), None)
            }
            _ => {
                let (text, words) = write_words(shape, &self.lengths);
                (Prompt::Text(Cow::Owned(text)), Some(words))
            }
        }
    }
}
