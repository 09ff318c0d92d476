//! LoRA adapters as files: read on first use, kept in memory and on the device, each cache of a set
//! size.
//!
//! `cache` decides (pure), `loader` reads, `Registry` knows which adapters there are by name.

mod cache;
mod loader;

pub use cache::{Acquired, AdapterCache, AdapterCounts, AdapterLimits, AdapterNumber};
pub(crate) use loader::{AdapterEvent, AdapterRead, Loader};

use super::StorageError;
use crate::{config::Bytes, profile::Profile};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, PoisonError, RwLock},
};

/// Adapters, and the caches for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adapters {
    /// Known from the start; others can be added at run time.
    pub known: Vec<NamedAdapter>,
    /// The caches' sizes.
    pub limits: AdapterLimits,
    /// Read past the page cache.
    pub direct: bool,
}

/// An adapter's name and file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAdapter {
    /// What requests call it, in `model`.
    pub name: String,
    /// Its file, or a PEFT folder with `adapter_model.safetensors`.
    pub path: PathBuf,
}

impl FromStr for NamedAdapter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok(Self {
                name: name.to_owned(),
                path: path.into(),
            }),
            _ => Err(format!("'{text}' names no adapter; write it as NAME=PATH")),
        }
    }
}

/// The size of an adapter of this rank for the attention of a model, in 16 bits: for the query,
/// key, value and output projection of each layer, two factors.
pub fn adapter_bytes(profile: &Profile, rank: u32) -> Bytes {
    let (query, key) = profile.attention_width;
    let hidden = u64::from(profile.hidden);
    // Query and output projection have the same two sides, key and value projection too.
    let sides = 2 * (hidden + u64::from(query)) + 2 * (hidden + u64::from(key));
    Bytes(sides * u64::from(rank) * 2 * u64::from(profile.layers))
}

/// Makes an adapter file of the size that rank and model give. A file that is already there is not
/// touched.
pub fn create(path: &Path, profile: &Profile, rank: u32) -> Result<(), StorageError> {
    super::weights::create(path, adapter_bytes(profile, rank))
}

/// An adapter that requests can name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Registered {
    pub(crate) number: AdapterNumber,
    pub(crate) name: String,
    /// The file itself.
    pub(crate) file: PathBuf,
    /// As it was given.
    pub(crate) path: PathBuf,
}

/// Why an adapter can't be added or removed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RegistryError {
    #[error("The lora adapter '{0}' has already been loaded.")]
    Known(String),
    #[error("The lora adapter '{0}' cannot be found.")]
    Unknown(String),
    #[error("No adapter found for '{0}': {1}")]
    NoFile(String, String),
}

/// Which adapters there are.
#[derive(Debug, Default)]
pub(crate) struct Registry(RwLock<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_name: BTreeMap<String, Arc<Registered>>,
    last: AdapterNumber,
}

impl Registry {
    /// Adds an adapter. Its file is looked at, and read when it is first used.
    pub(crate) fn add(&self, name: &str, path: &Path) -> Result<(), RegistryError> {
        let file = adapter_file(path).map_err(|why| RegistryError::NoFile(name.to_owned(), why))?;
        // Nothing panics under the lock, here and below.
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.by_name.contains_key(name) {
            return Err(RegistryError::Known(name.to_owned()));
        }
        entries.last += 1;
        let registered = Registered {
            number: entries.last,
            name: name.to_owned(),
            file,
            path: path.to_owned(),
        };
        entries
            .by_name
            .insert(name.to_owned(), Arc::new(registered));
        Ok(())
    }

    /// Removes an adapter; requests that use it go on.
    pub(crate) fn remove(&self, name: &str) -> Result<(), RegistryError> {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match entries.by_name.remove(name) {
            Some(_) => Ok(()),
            None => Err(RegistryError::Unknown(name.to_owned())),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Registered>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.by_name.get(name).cloned()
    }

    /// All, by name.
    pub(crate) fn list(&self) -> Vec<Arc<Registered>> {
        let entries = self.0.read().unwrap_or_else(PoisonError::into_inner);
        entries.by_name.values().cloned().collect()
    }
}

fn adapter_file(path: &Path) -> Result<PathBuf, String> {
    let file = if path.is_dir() {
        path.join("adapter_model.safetensors")
    } else {
        path.to_owned()
    };
    match std::fs::metadata(&file) {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => Ok(file),
        Ok(_) => Err(format!("{} is no file with content", file.display())),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Model;

    #[test]
    fn adapters_have_their_true_size() {
        let size = |model: Model, rank| adapter_bytes(&model.profile(), rank).0;
        assert_eq!(size(Model::GptOss120b, 16), 23_887_872);
        // All four attention projections of Llama 3.1 8B at rank 16, 13.6 M parameters.
        assert_eq!(size(Model::Llama31_8b, 16), 27_262_976);
    }

    #[test]
    fn names_are_unique_and_files_must_exist() {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::default();
        let missing = registry.add("a", &folder.path().join("a")).unwrap_err();
        assert!(missing.to_string().contains("'a'"), "{missing}");
        assert!(registry.add("a", folder.path()).is_err(), "an empty folder");
        std::fs::write(folder.path().join("adapter_model.safetensors"), "x").unwrap();
        registry.add("a", folder.path()).unwrap();
        assert_eq!(
            registry.add("a", folder.path()),
            Err(RegistryError::Known("a".into()))
        );
        assert_eq!(registry.find("a").unwrap().number, 1);
        registry.remove("a").unwrap();
        assert_eq!(
            registry.remove("a"),
            Err(RegistryError::Unknown("a".into()))
        );
        registry.add("a", folder.path()).unwrap();
        assert_eq!(registry.find("a").unwrap().number, 2, "another adapter now");
    }

    #[test]
    fn an_adapter_is_given_as_name_and_path() {
        let adapter: NamedAdapter = "x=/a=b".parse().unwrap();
        assert_eq!(
            (adapter.name.as_str(), adapter.path.to_str()),
            ("x", Some("/a=b"))
        );
        assert!("x".parse::<NamedAdapter>().is_err() && "=y".parse::<NamedAdapter>().is_err());
    }
}
