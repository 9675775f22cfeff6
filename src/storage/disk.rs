//! Free disk space, and how much of it the daemon leaves free.

use std::{io, path::Path, str::FromStr};

use rustix::fs::statvfs;

/// The default reserve, in bytes: as much as the WAL has at most after a checkpoint. Deleting rows in steps needs far less.
const RESERVE_BYTES: u64 = 16 * MIB;

/// On a small file system the default reserve is this part of it.
const RESERVE_PART: u64 = 10;

/// Less free space than this above the reserve is worth a warning, in bytes: space for some two million clicks with their
/// WAL. On a small file system it is [`RESERVE_PART`] of it.
const NEAR_BYTES: u64 = 240 * MIB;

const MIB: u64 = 1024 * 1024;

/// How much free disk space the daemon leaves. Erasing rows needs space before it frees any: on a full disk nothing can be
/// deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum DiskReserve {
    /// 16 MiB, or a tenth of the file system if that is less.
    #[default]
    BySize,
    /// This many bytes.
    Bytes(u64),
}

/// The text is not a size.
#[derive(Debug, thiserror::Error)]
#[error(
    "a reserve is a whole number with a unit (kB, MB, GB, KiB, MiB, GiB), such as 64MiB or 1GB; or off"
)]
pub(crate) struct ParseDiskReserveError;

impl FromStr for DiskReserve {
    type Err = ParseDiskReserveError;

    fn from_str(text: &str) -> Result<Self, ParseDiskReserveError> {
        if text == "off" {
            return Ok(Self::Bytes(0));
        }
        let unit_at = text
            .find(|character: char| !character.is_ascii_digit())
            .ok_or(ParseDiskReserveError)?;
        let (number, unit) = text.split_at(unit_at);
        let unit: u64 = match unit {
            "kB" => 1_000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1024,
            "MiB" => MIB,
            "GiB" => 1024 * MIB,
            _ => return Err(ParseDiskReserveError),
        };
        let number: u64 = number.parse().map_err(|_| ParseDiskReserveError)?;
        let bytes = number.checked_mul(unit).ok_or(ParseDiskReserveError)?;
        Ok(Self::Bytes(bytes))
    }
}

/// Whether free disk space is above what clicks leave free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// More than [`NEAR_BYTES`] above it.
    Enough,
    /// Above it.
    Near,
    /// Below it.
    None,
}

/// The space of a file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct DiskSpace {
    /// What the caller may still use, in bytes.
    pub(super) free: u64,
    /// In bytes; 0 if the file system does not say it, as some in user space do.
    total: u64,
}

impl DiskSpace {
    /// The space of the file system of `path`.
    ///
    /// # Errors
    /// When the system can't say it.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let found = statvfs(path)?;
        Ok(Self {
            free: found.f_bavail.saturating_mul(found.f_frsize),
            total: found.f_blocks.saturating_mul(found.f_frsize),
        })
    }

    /// As [`DiskSpace::at`]; none if the system can't say it.
    pub(super) fn known_at(path: &Path) -> Option<Self> {
        Self::at(path).ok().filter(|space| space.total > 0)
    }

    /// Less `growth`, the bytes that files will grow by.
    pub(super) fn after(self, growth: u64) -> Self {
        Self {
            free: self.free.saturating_sub(growth),
            ..self
        }
    }

    /// The bytes that the daemon leaves free.
    pub(super) fn reserved(self, reserve: DiskReserve) -> u64 {
        match reserve {
            DiskReserve::BySize => RESERVE_BYTES.min(self.total / RESERVE_PART),
            DiskReserve::Bytes(bytes) => bytes,
        }
    }

    /// `kept` is what clicks leave free, in bytes.
    pub(super) fn room(self, kept: u64) -> Room {
        let near = kept.saturating_add(NEAR_BYTES.min(self.total / RESERVE_PART));
        if self.total == 0 {
            Room::Enough
        } else if self.free < kept {
            Room::None
        } else if self.free < near {
            Room::Near
        } else {
            Room::Enough
        }
    }
}

/// A size in whole MiB, or less than one in KiB.
pub(crate) fn size(bytes: u64) -> String {
    if bytes == 0 || bytes >= MIB {
        mib(bytes)
    } else {
        format!("{} KiB", bytes / 1024)
    }
}

/// A size in whole MiB.
pub(crate) fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes / MIB)
}
