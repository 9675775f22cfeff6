//! The flags that select clicks, shared by report, watch and purge, and the time zone.

use clap::{Args, builder::NonEmptyStringValueParser};
use jiff::{Zoned, tz::TimeZone};

use crate::{
    cli::{
        failure::Failure,
        instant::{Instant, resolve},
        print_error,
        progress::{READING_CLICKS, timed},
        zone::{parse_time_zone, unknown_zone},
    },
    render::counted,
    reports::{self, FoundExpert, NamedExpert},
    storage::{Db, EmailFilter, Selection, Window},
    timestamp::Timestamp,
};

#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Clicks on this expert: a username or name, or a part
    ///
    /// A username, or else a name, or a part of either that no other expert has.
    #[arg(long, value_name = "USERNAME", value_parser = NonEmptyStringValueParser::new())]
    expert: Option<String>,
    /// Clicks of this lead, or of a domain: @example.com
    ///
    /// In any spelling. A domain is all leads of exactly that domain.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    email: Option<String>,
    /// Clicks after a search that contains this text
    ///
    /// A case-insensitive substring.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    query: Option<String>,
    /// Clicks from this time on: today, 24h, 7d, 2026-11-01
    ///
    /// today, yesterday, 90m, 24h, 7d, 2w (ago), 2026-11-01, '2026-11-01 09:30' (local time) or 2026-11-01T09:30:00Z.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<Instant>,
}

impl FilterArgs {
    /// The argument of `--since`.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// The selected clicks from before `until`. Times are resolved as seen from `now`.
    ///
    /// # Errors
    /// When `--since` is outside the years 0 to 9999, or not before `until`, and when a text has no visible character, or `--email` is a
    /// domain without a name.
    pub(super) fn selection(
        &self,
        until: Option<Timestamp>,
        now: &Zoned,
    ) -> Result<Selection, Failure> {
        let since = resolve("--since", self.since, now)?;
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(Failure::Usage("--since must be before --until".to_owned()));
        }
        let selection = Selection::new(
            Window { since, until },
            self.expert.as_deref(),
            self.email.as_deref(),
            self.query.as_deref(),
        );
        // Everything would meet an empty condition.
        if let Some(flag) = selection.empty_condition() {
            return Err(Failure::Usage(format!(
                "{flag} has no visible character; give it a text"
            )));
        }
        if selection.email == Some(EmailFilter::Domain(String::new())) {
            let error = "--email @ has no domain; give an email, or a domain such as @example.com";
            return Err(Failure::Usage(error.to_owned()));
        }
        Ok(selection)
    }
}

/// How many experts are listed if several match.
const LISTED_MAX: usize = 20;

/// Looks up the expert of `selection`, which is what the user typed, and replaces it by the username. If it was not the username,
/// the expert is printed. Returns the end of a sentence about an expert who is not found: how to go on.
///
/// # Errors
/// When several experts match, or the database can't be read.
pub(super) fn find_expert(db: &Db, selection: &mut Selection) -> Result<Option<String>, Failure> {
    let Some(expert) = &mut selection.expert else {
        return Ok(None);
    };
    match timed(READING_CLICKS, || reports::find_expert(db, expert))? {
        FoundExpert::Exact => Ok(None),
        FoundExpert::One(found) => {
            print_error("leadclicks", &format!("--expert '{expert}' is {found}"));
            *expert = found.username;
            Ok(None)
        }
        FoundExpert::Several(found) => {
            let more = found.len().saturating_sub(LISTED_MAX);
            let more = match more {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            Err(Failure::Usage(format!(
                "--expert '{expert}' matches {}: {}{more}; give one username",
                counted(found.len() as u64, "expert"),
                list(found.get(..LISTED_MAX).unwrap_or(&found)),
            )))
        }
        FoundExpert::None { similar, has_list } => Ok(Some(if !similar.is_empty() {
            format!("; similar: {}", list(&similar))
        } else if has_list {
            "; `leadclicks experts list` lists the known experts".to_owned()
        } else {
            String::new()
        })),
    }
}

/// The end of a sentence about an expert without clicks, who must be given by the whole username: the similar ones.
///
/// # Errors
/// When the database can't be read.
pub(super) fn similar_experts(db: &Db, selection: &Selection) -> Result<String, Failure> {
    let Some(expert) = &selection.expert else {
        return Ok(String::new());
    };
    let similar = match timed(READING_CLICKS, || reports::find_expert(db, expert))? {
        FoundExpert::Exact => Vec::new(),
        FoundExpert::One(found) => vec![found],
        FoundExpert::Several(found) => found,
        FoundExpert::None { similar, .. } => similar,
    };
    Ok(match similar.get(..LISTED_MAX).unwrap_or(&similar) {
        [] => String::new(),
        similar => format!("; usernames like --expert: {}", list(similar)),
    })
}

fn list(experts: &[NamedExpert]) -> String {
    let experts: Vec<String> = experts.iter().map(NamedExpert::to_string).collect();
    experts.join(", ")
}

const CORRECT_ZONE: &str = "correct it, install the system's tzdata, or pass --tz UTC";

#[derive(Debug, Args)]
pub(super) struct ZoneArgs {
    /// Time zone, for example Europe/Berlin or UTC
    ///
    /// That of local times and days; by default the system's.
    #[arg(long, value_name = "ZONE", value_parser = parse_time_zone)]
    tz: Option<TimeZone>,
}

impl ZoneArgs {
    /// `now` in the time zone that was given, or else in its own. Warns if the system does not know that one.
    pub(super) fn apply(&self, now: &Zoned) -> Zoned {
        if let Some(zone) = self.unknown(now) {
            let warning = format!(
                "this system does not know the time zone of {zone}, so local times are in UTC; {CORRECT_ZONE}"
            );
            print_error("leadclicks", &warning);
        }
        self.in_zone(now)
    }

    /// Checks a time by which rows are deleted.
    ///
    /// # Errors
    /// When `time` depends on a time zone that the system does not know.
    pub(super) fn check(&self, flag: &str, time: Instant, now: &Zoned) -> Result<(), Failure> {
        match self.unknown(now) {
            Some(zone) if time.depends_on_zone() => Err(Failure::Usage(format!(
                "{flag} depends on the time zone of {zone}, which this system does not know; {CORRECT_ZONE}"
            ))),
            _ => Ok(()),
        }
    }

    fn unknown(&self, now: &Zoned) -> Option<String> {
        match self.tz {
            Some(_) => None,
            None => unknown_zone(now),
        }
    }

    /// `now` in the time zone that was given, or else in its own.
    pub(super) fn in_zone(&self, now: &Zoned) -> Zoned {
        match &self.tz {
            Some(zone) => now.with_time_zone(zone.clone()),
            None => now.clone(),
        }
    }
}
