//! /proc/self/mountinfo (Documentation/filesystems/proc.rst, 3.5).

use super::{ParseError, lines, number, split_once, words};
use std::{ffi::OsString, fmt, os::unix::ffi::OsStringExt, path::PathBuf};

/// A device's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DeviceId {
    /// Which driver; 0 for file systems that have no device of their own.
    pub major: u64,
    /// Which of its devices.
    pub minor: u64,
}

impl DeviceId {
    /// Parses `major:minor`.
    pub fn parse(word: &[u8]) -> Option<Self> {
        let (major, minor) = split_once(word, b':')?;
        Some(Self {
            major: number(major)?,
            minor: number(minor)?,
        })
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

/// One mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The device, as `stat` gives it for the files.
    pub device: DeviceId,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The options of this mount.
    pub options: String,
    /// The file system's type.
    pub file_system: String,
    /// What is mounted: `/dev/nvme0n1p2`, `overlay`.
    pub source: PathBuf,
    /// The options of the file system itself, unescaped.
    pub super_options: String,
}

/// Parses /proc/self/mountinfo. Later mounts come later: of two at one place, the last is seen.
pub fn mountinfo(text: &[u8]) -> Result<Vec<Mount>, ParseError> {
    lines(text)
        .map(|line| mount(line).ok_or_else(|| ParseError::new(text, line, "a mount")))
        .collect()
}

/// `id parent major:minor root point options optional… - type source superoptions`
fn mount(line: &[u8]) -> Option<Mount> {
    let mut words = words(line);
    let device = DeviceId::parse(words.nth(2)?)?;
    let point = escaped_path(words.nth(1)?);
    let options = text(words.next()?);
    words.find(|&word| word == b"-")?;
    let file_system = text(words.next()?);
    let source = escaped_path(words.next()?);
    // A mount without a source prints none, and the two last fields close up.
    let super_options = words.next().map(text).unwrap_or_default();
    Some(Mount {
        device,
        point,
        options,
        file_system,
        source,
        super_options,
    })
}

/// A path as the kernel's lists escape it.
pub(crate) fn escaped_path(word: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec(unescape(word)))
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(&unescape(word)).into_owned()
}

/// Blanks and backslashes come as `\040` and its like (fs/proc_namespace.c, `mangle`).
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn fields_and_escapes() {
        let text =
            b"27 1 259:2 / / rw,relatime shared:1 master:2 - ext4 /dev/nvme0n1p2 rw,discard\n\
            28 27 0:40 /sub /mnt/my\\040disk rw - btrfs /dev/sda1 rw\n";
        let mounts = mountinfo(text).unwrap();
        assert_eq!(
            mounts[0].device,
            DeviceId {
                major: 259,
                minor: 2
            }
        );
        assert_eq!(mounts[0].file_system, "ext4");
        assert_eq!(mounts[0].source, Path::new("/dev/nvme0n1p2"));
        assert_eq!(mounts[0].super_options, "rw,discard");
        assert_eq!(mounts[1].point, Path::new("/mnt/my disk"));
    }

    #[test]
    fn a_broken_line_is_refused_by_number() {
        let text = b"27 1 259:2 / / rw - ext4 /dev/vda rw\n28 27 no / /x rw - ext4 a rw\n";
        assert_eq!(mountinfo(text).unwrap_err().line, 2);
    }
}
