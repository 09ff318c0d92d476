//! The thread that writes request bodies, so that a long prompt never delays a socket.

use super::{LengthModel, PromptKey, PromptWriter};
use crate::{
    dialect::{Ask, write_body},
    phase::Workload,
    target::Target,
};
use std::sync::mpsc;
use tokio::sync::oneshot;

/// What the composer is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Write this request's body.
    Compose {
        key: PromptKey,
        reply: oneshot::Sender<Composed>,
    },
    /// The server counted so many tokens in a prompt of so many words.
    Observed { words: u32, tokens: u32 },
}

/// A request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) body: Vec<u8>,
    pub(crate) words: u32,
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
        for order in orders {
            match order {
                // A user that is gone needs no prompt.
                Order::Compose { key, reply } => drop(reply.send(self.compose(key))),
                Order::Observed { words, tokens } => self.lengths.observe(words, tokens),
            }
        }
        self.lengths
    }

    fn compose(&self, key: PromptKey) -> Composed {
        let words = self.lengths.words_for(self.workload.prompt_tokens);
        let writer = PromptWriter::new(self.workload.seed, self.workload.salt);
        let prompt = writer.write(key, words);
        let accepts = self.target.accepts;
        let ask = Ask {
            model: &self.target.model,
            prompt: &prompt,
            max_tokens: self.workload.max_tokens,
            temperature: self.workload.temperature,
            ignore_eos: accepts.ignore_eos,
            min_tokens: accepts.min_tokens,
            usage: accepts.usage,
        };
        Composed {
            body: write_body(self.target.api, &ask),
            words,
        }
    }
}
