//! Where the server's key comes from.

use crate::{
    exit::{Exit, OrExit, Result},
    named_file::read_text,
};
use anyhow::{Context, anyhow};
use load::ApiKey;
use std::{env, path::Path};

const VARIABLE: &str = "OPENAI_API_KEY";

/// The key that the server wants, if there is one: of the file, else of the environment. Never an
/// argument, which any user of the machine could read.
pub(super) fn api_key(file: Option<&Path>) -> Result<Option<ApiKey>> {
    let (text, of) = match file {
        Some(path) => {
            let of = path.display().to_string();
            let text = read_text(path).with_context(|| format!("{of}: cannot read the key"));
            (text.or_usage()?, of)
        }
        None => match env::var(VARIABLE) {
            Err(env::VarError::NotPresent) => return Ok(None),
            Ok(text) if text.is_empty() => return Ok(None),
            text => (text.context(VARIABLE).or_usage()?, VARIABLE.to_owned()),
        },
    };
    let key = text.trim_end_matches(['\r', '\n']);
    if key.is_empty() {
        return Err(Exit::Usage(anyhow!("{of}: it holds no key: it is empty")));
    }
    ApiKey::new(key)
        .with_context(|| format!("{of} holds what can't be sent: use printable ASCII alone"))
        .or_usage()
        .map(Some)
}
