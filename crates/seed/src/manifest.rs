//! `*_manifest.json`: what the harness says that a run was.

use serde::Deserialize;

/// The parts that were asked of the machine or given by the plan. Others the scripts state
/// without looking (`kv_cache`, `cpu`, `saturated`), or look up in the wrong place (`dgx_os`).
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) run_id: String,
    pub(crate) timestamp_utc: String,
    pub(crate) hypothesis: String,
    /// Of H1 alone: `COLD` or `WARM`.
    pub(crate) phase: Option<String>,
    pub(crate) model_name: Option<String>,
    pub(crate) concurrency_users: u32,
    pub(crate) run_duration_sec: u32,
    #[serde(default)]
    pub(crate) prompts_sha256: Vec<String>,
    pub(crate) storage: Option<Storage>,
    pub(crate) os: Option<Os>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Storage {
    pub(crate) device: String,
    pub(crate) model: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Os {
    pub(crate) kernel: Option<String>,
}

/// The prompt that the harness's three tests send.
const PROMPT_SHA256: &str = "4bd0c87652961efb9ca47efc5486885de8dc14815f1e7bc944de14e3485e9193";

/// What its file's name says, and what a tokenizer (o200k) counts in it.
const PROMPT_TOKENS: (u32, u32) = (1_000, 1_315);

impl Manifest {
    /// In words why not.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = serde_json::from_str(text).map_err(|error| {
            format!("manifest.json is not JSON of its shape, and the scripts escape nothing in it: {error}")
        })?;
        match manifest.hypothesis.as_str() {
            "H1" | "H2" | "H6" => Ok(manifest),
            other => Err(format!(
                "a run of {other:?}: only H1, H2 and H6 were meant for this server"
            )),
        }
    }

    /// Whether the prompt is known by its checksum.
    pub(crate) fn prompt_is_known(&self) -> bool {
        self.prompts_sha256.iter().any(|sha| sha == PROMPT_SHA256)
    }

    pub(crate) fn prompt_tokens(&self) -> u32 {
        if self.prompt_is_known() {
            PROMPT_TOKENS.1
        } else {
            PROMPT_TOKENS.0
        }
    }

    /// What really was done, as the arm's name. The pages of a server that has its weights in
    /// GPU allocations are nothing that dropping the page cache would take from it.
    pub(crate) fn arm(&self) -> Option<&'static str> {
        match self.phase.as_deref()? {
            "COLD" => Some("cache-dropped"),
            "WARM" => Some("cache-kept"),
            _ => None,
        }
    }

    /// The kernel's name of the device.
    pub(crate) fn device(&self) -> Option<&str> {
        let device = self.storage.as_ref()?.device.as_str();
        let name = device.strip_prefix("/dev/").unwrap_or(device);
        // As the kernel names them: it becomes part of a column's name.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_!".contains(c);
        (!name.is_empty() && name.chars().all(is_plain)).then_some(name)
    }

    pub(crate) fn device_model(&self) -> Option<String> {
        let model = self.storage.as_ref()?.model.as_deref()?.trim();
        (!model.is_empty() && model != "unknown").then(|| model.to_owned())
    }
}
