//! Where a session's files go, and what it measures: checked before anything starts.

use crate::{Job, LabError};
use probe::{Roots, device};
use record::DeviceUnderTest;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The folder, made and proven to take files, as an absolute path.
pub(crate) fn results_folder(path: &Path) -> Result<PathBuf, LabError> {
    let failed = |source| LabError::Results {
        path: path.to_owned(),
        source,
    };
    fs::create_dir_all(path).map_err(failed)?;
    let path = fs::canonicalize(path).map_err(failed)?;
    let proof = path.join(format!(".spillpoint-{}", std::process::id()));
    fs::write(&proof, b"proof").map_err(failed)?;
    fs::remove_file(&proof).map_err(failed)?;
    Ok(path)
}

/// The device under the named path, else under the model's files, else under the results.
pub(crate) fn device_under_test(
    job: &Job,
    roots: &Roots,
    results: &Path,
) -> Result<DeviceUnderTest, LabError> {
    let named = job.storage.as_ref().or(job.target.model_files.first());
    let Some(path) = named else {
        return Ok(device::resolve(roots, results));
    };
    match fs::metadata(path) {
        Ok(_) => Ok(device::resolve(roots, path)),
        Err(source) => Err(LabError::Storage {
            path: path.clone(),
            source,
        }),
    }
}

/// `20261124T101500Z-h2-spark`.
pub(crate) fn session_name(plan: &plan::Plan, hostname: &str) -> String {
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let host: String = hostname.chars().map(plain).take(40).collect();
    format!("{now}-{}-{host}", plan.name)
}
