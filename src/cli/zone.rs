//! The reader's time zone: that of `--tz`, of the variable `TZ`, or of the system.

use std::{env, fs};

use jiff::{Zoned, tz::TimeZone};

use crate::text::visible;

/// The link to the system's time zone.
const LOCALTIME: &str = "/etc/localtime";

/// A time zone by its name in the system's database.
pub(super) fn parse_time_zone(name: &str) -> Result<TimeZone, String> {
    match TimeZone::get(name) {
        Ok(zone) => Ok(zone),
        // Also on systems without a database.
        Err(_) if is_utc(name) => Ok(TimeZone::UTC),
        Err(_) => Err("a time zone is a name such as Europe/Berlin or UTC; `ls /usr/share/zoneinfo` lists all names".to_owned()),
    }
}

/// What names the zone of `now`, if the system does not know that zone, so that `now` is in UTC. None if no zone is named:
/// then UTC is meant.
pub(super) fn unknown_zone(now: &Zoned) -> Option<String> {
    if !now.time_zone().is_unknown() {
        return None;
    }
    if let Some(name) = env::var_os("TZ").filter(|name| !name.is_empty()) {
        let name = name.to_string_lossy();
        return (!is_utc(&name)).then(|| format!("TZ={}", visible(&name)));
    }
    let link = fs::symlink_metadata(LOCALTIME).ok()?;
    if link.is_symlink()
        && fs::read_link(LOCALTIME).is_ok_and(|target| is_utc(&target.to_string_lossy()))
    {
        return None;
    }
    Some(LOCALTIME.to_owned())
}

/// Whether a name of a time zone, or the path of its file, means UTC even if there is no such file.
fn is_utc(name: &str) -> bool {
    let name = name.rsplit("zoneinfo/").next().unwrap_or(name);
    let name = name.strip_prefix(':').unwrap_or(name);
    let name = name.strip_prefix("Etc/").unwrap_or(name);
    ["UTC", "UCT", "Zulu", "Universal", "GMT"]
        .iter()
        .any(|utc| name.eq_ignore_ascii_case(utc))
}
