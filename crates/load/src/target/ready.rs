//! Whether a server that was started again serves: looked at often, so small.

use super::{
    PreflightError, Target,
    preflight::{ask, block_on},
};
use crate::{dialect::Prompt, fetch::fetch};
use std::time::Duration;
use tokio::time::timeout;

impl Target {
    /// Whether `GET /health` is answered with success within `limit`. A server that knows no such
    /// path (404) is healthy, since it answers. Blocks.
    pub fn is_healthy(&self, limit: Duration) -> bool {
        let head = self.url.head("GET", "/health", self.api_key.as_ref());
        let head = [head.as_slice(), b"\r\n"].concat();
        let asked = async { timeout(limit, fetch(self.endpoint(), &head, b"")).await };
        let answer = block_on(asked);
        matches!(answer, Ok(Ok(Ok(answer))) if matches!(answer.status, 200..=299 | 404))
    }

    /// Asks for one token, and waits until it is there, or for `limit`. Blocks.
    pub fn first_token(&self, limit: Duration) -> Result<(), PreflightError> {
        let prompt = Prompt::Text("Say hello to the world.".into());
        match block_on(ask(self, prompt, 1, limit))? {
            Ok(_) => Ok(()),
            Err((failed, _)) => Err(PreflightError::ApiNotSpoken {
                url: self.url.clone(),
                api: self.api,
                words: failed.words,
            }),
        }
    }
}
