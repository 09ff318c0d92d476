//! A drive's temperature, by the hwmon device of its own controller.

use super::sysfs::{self, entries, trimmed};
use crate::{Roots, background::Background};
use record::Value;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The kernel asks an NVMe controller at most once a second (drivers/nvme/host/hwmon.c), and the
/// reading waits for the controller: it is made beside the sampler.
const INTERVAL: Duration = Duration::from_secs(1);

/// The file that holds the composite temperature of this drive, in thousandths of a degree. Only
/// a hwmon device below the drive's own controller is taken: another drive's has the same name.
pub(crate) fn file(roots: &Roots, disk: &str) -> Option<PathBuf> {
    let device = sysfs::by_name(roots, disk)?.whole;
    let parent = device.controller().or_else(|| device.hardware())?;
    let folders = [
        parent.clone(),
        parent.join("hwmon"),
        parent.join("device"),
        parent.join("device/hwmon"),
    ];
    folders.iter().find_map(|folder| temperature_in(folder))
}

/// The warning temperature that the drive's controller states (NVMe: WCTEMP), in degrees Celsius.
pub fn warning_c(roots: &Roots, disk: &str) -> Option<f64> {
    let file = file(roots, disk)?.with_file_name("temp1_max");
    celsius(&File::open(file).ok()?)
}

fn temperature_in(folder: &Path) -> Option<PathBuf> {
    let monitors = entries(folder).into_iter().filter(|name| {
        name.strip_prefix("hwmon")
            .is_some_and(|number| number.parse::<u32>().is_ok())
    });
    monitors
        .map(|name| folder.join(name))
        .filter(|dir| {
            matches!(
                trimmed(&dir.join("name")).as_deref(),
                Some("nvme" | "drivetemp")
            )
        })
        .map(|dir| dir.join("temp1_input"))
        .find(|file| fs::exists(file).unwrap_or(false))
}

/// Reads the temperature again and again into one column.
pub(crate) fn watch(file: &Path) -> io::Result<Background<Option<f64>>> {
    let file = File::open(file)?;
    let begin = move || Some(move || celsius(&file));
    Background::start("temperature", INTERVAL, begin, |reading, values| {
        values[0] = Value::from(*reading);
    })
}

fn celsius(file: &File) -> Option<f64> {
    let mut buffer = [0; 32];
    let count = file.read_at(&mut buffer, 0).ok()?;
    let text = std::str::from_utf8(&buffer[..count]).ok()?;
    let thousandths: i64 = text.trim().parse().ok()?;
    Some(thousandths as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_controllers_own_monitor_is_read() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/gb10");
        let file = file(&Roots::under(Path::new(root)), "nvme0n1").unwrap();
        assert!(file.ends_with("nvme0/hwmon3/temp1_input"), "{file:?}");
        assert_eq!(celsius(&File::open(file).unwrap()), Some(47.85));
        assert_eq!(
            warning_c(&Roots::under(Path::new(root)), "nvme0n1"),
            Some(81.85)
        );
    }
}
