//! The flags that select clicks, shared by report, watch and purge, and the time zone.

use std::env;

use clap::{Args, builder::NonEmptyStringValueParser};
use jiff::{Zoned, tz::TimeZone};

use crate::{
    cli::{
        empty_variable,
        failure::Failure,
        period::{ParsePeriodError, Period, resolve_window},
        print_error,
        progress::{READING_CLICKS, timed},
        zone::{parse_time_zone, unknown_zone},
    },
    click::canonical_username,
    render::counted,
    reports::{self, FoundExpert, History, NamedExpert, Segment, window_before, window_earlier},
    storage::{Db, EmailFilter, Selection, Window},
    timestamp::Timestamp,
};

#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Clicks on this expert: a username or name, or a part
    ///
    /// A username, or else a name, or a part of either that no other expert has. Repeat it for clicks on any of several.
    #[arg(long, value_name = "USERNAME", value_parser = NonEmptyStringValueParser::new())]
    expert: Vec<String>,
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
}

/// The flags that select a time.
#[derive(Debug, Args)]
pub(super) struct WindowArgs {
    /// Clicks from this period on: today, 7d, 'this month'
    ///
    /// From its beginning on: today, yesterday, monday, 'this week', 'last month', 7d, 2w, 3mo (whole days), 24h, 90min (until
    /// now), 2026-11-01, 2026-11, '2026-11-01 09:30' (local time) or 2026-11-01T09:30:00Z.
    #[arg(long, value_name = "PERIOD", allow_hyphen_values = true)]
    since: Option<Period>,
    /// Clicks up to the end of this period
    ///
    /// In the forms of --since: 2026-11-01 includes this day.
    #[arg(long, value_name = "PERIOD", allow_hyphen_values = true)]
    until: Option<Period>,
    /// Clicks in this period, in the forms of --since
    #[arg(long, value_name = "PERIOD", allow_hyphen_values = true, conflicts_with_all = ["since", "until"])]
    period: Option<Period>,
}
impl WindowArgs {
    /// The flags that were given.
    pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, Period)> {
        [
            ("--since", self.since),
            ("--until", self.until),
            ("--period", self.period),
        ]
        .into_iter()
        .filter_map(|(flag, period)| Some((flag, period?)))
    }

    /// The period before that of `window`, which these flags have resolved to.
    ///
    /// # Errors
    /// When it has no beginning, or is outside the calendar.
    pub(super) fn before(&self, window: Window, now: &Zoned) -> Result<Window, Failure> {
        // A period that has begun and not ended, such as `--since 'this month'`, is compared as a whole.
        let end = self.since.and_then(|since| since.end(now).ok());
        let end = end.filter(|end| *end > Timestamp::new(now.timestamp()));
        let window = Window {
            until: window.until.or(end),
            ..window
        };
        // Days that happen to be a month are still days.
        let before = match (self.since.or(self.period), self.until, window) {
            (
                Some(Period::LastDays(length)),
                None,
                Window {
                    since: Some(since),
                    until: Some(until),
                },
            ) => window_earlier(length, since, until, now),
            _ => window_before(window, now),
        };
        before.ok_or_else(|| {
            let error = "--compare needs the beginning of a period: add --since or --period";
            Failure::Usage(error.to_owned())
        })
    }

    /// As [`resolve_window`].
    pub(super) fn resolve(&self, now: &Zoned) -> Result<Window, Failure> {
        resolve_window(self.since, self.until, self.period, now)
    }
}

impl FilterArgs {
    /// The selected clicks of `window`.
    ///
    /// # Errors
    /// When a text has no visible character, or `--email` is neither an address nor a domain.
    pub(super) fn selection(&self, window: Window) -> Result<Selection, Failure> {
        let email = self.email.as_deref();
        let email = email.map(|text| parse_email("--email", text)).transpose()?;
        let selection = Selection::new(window, &self.expert, email, self.query.as_deref());
        // Everything would meet an empty condition.
        if let Some(flag) = selection.empty_condition() {
            return Err(Failure::Usage(format!(
                "{flag} has no visible character; give it a text"
            )));
        }
        Ok(selection)
    }
}

/// Parses what was given to `name`, an option or a variable.
fn parse_email(name: &str, text: &str) -> Result<EmailFilter, Failure> {
    EmailFilter::parse(text).map_err(|error| Failure::Usage(format!("{name} '{text}' {error}")))
}

/// How many experts are listed if several match.
const LISTED_MAX: usize = 20;

/// An expert who was not found, and the end of a sentence about this: how to go on.
pub(super) struct UnknownExpert {
    pub(super) text: String,
    pub(super) hint: String,
}

/// Looks up `experts`, which is what the user gave to `flag`, and replaces them by their usernames. An expert who was not given by
/// the username is printed. Returns those who are not found.
///
/// # Errors
/// When several experts match a text, or the database can't be read.
pub(super) fn find_experts(
    db: &Db,
    flag: &str,
    experts: &mut Vec<String>,
) -> Result<Vec<UnknownExpert>, Failure> {
    let mut unknown = Vec::new();
    for expert in &mut *experts {
        match timed(READING_CLICKS, || reports::find_expert(db, expert))? {
            FoundExpert::Exact => {}
            FoundExpert::One(found) => {
                print_error("leadclicks", &format!("{flag} '{expert}' is {found}"));
                *expert = found.username;
            }
            FoundExpert::Several(found) => {
                let more = found.len().saturating_sub(LISTED_MAX);
                let more = match more {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                return Err(Failure::Usage(format!(
                    "{flag} '{expert}' matches {}: {}{more}; give one username",
                    counted(found.len() as u64, "expert"),
                    list(found.get(..LISTED_MAX).unwrap_or(&found)),
                )));
            }
            FoundExpert::None { similar, has_list } => unknown.push(UnknownExpert {
                text: expert.clone(),
                hint: if !similar.is_empty() {
                    format!("; similar: {}", list(&similar))
                } else if has_list {
                    "; `leadclicks experts list` lists the known experts".to_owned()
                } else {
                    String::new()
                },
            }),
        }
    }
    experts.sort_unstable();
    experts.dedup();
    Ok(unknown)
}

/// The experts that these may mean, if they must be given by the whole username; none if there are none.
///
/// # Errors
/// When the database can't be read.
pub(super) fn similar_experts(db: &Db, experts: &[String]) -> Result<Option<String>, Failure> {
    let mut similar = Vec::new();
    for expert in experts {
        match timed(READING_CLICKS, || reports::find_expert(db, expert))? {
            FoundExpert::Exact => {}
            FoundExpert::One(found) => similar.push(found),
            FoundExpert::Several(found) | FoundExpert::None { similar: found, .. } => {
                similar.extend(found);
            }
        }
    }
    Ok(match similar.get(..LISTED_MAX).unwrap_or(&similar) {
        [] => None,
        similar => Some(list(similar)),
    })
}

fn list(experts: &[NamedExpert]) -> String {
    let experts: Vec<String> = experts.iter().map(NamedExpert::to_string).collect();
    experts.join(", ")
}

/// The flags that select leads by more than a single click.
#[derive(Debug, Args)]
pub(super) struct SegmentArgs {
    /// Without leads who clicked this expert in the period; repeatable
    #[arg(long, value_name = "USERNAME", value_parser = NonEmptyStringValueParser::new())]
    not_expert: Vec<String>,
    /// Only leads whose first click of all is in the period
    #[arg(long, conflicts_with = "returning")]
    new: bool,
    /// Only leads who came back after a pause of 14d, 2w, 3mo
    ///
    /// Who came back in the period after a pause of at least this long.
    #[arg(long, value_name = "PAUSE", value_parser = parse_pause)]
    returning: Option<Period>,
}

const NO_PAUSE: &str = "--returning is a length of time such as 14d, 2w or 3mo";

fn parse_pause(text: &str) -> Result<Period, String> {
    match text.parse() {
        Ok(pause @ (Period::LastDays(_) | Period::LastHours(_))) => Ok(pause),
        Err(error @ ParsePeriodError::MinutesOrMonths(_)) => Err(error.to_string()),
        _ => Err(NO_PAUSE.to_owned()),
    }
}

impl SegmentArgs {
    /// The segment with usernames, for clicks of `window`. Prints which experts are not known.
    ///
    /// # Errors
    /// When `--new` has no period, when `--returning` is not a length of time, and as [`find_experts`].
    pub(super) fn resolve(&self, db: &Db, window: Window, now: &Zoned) -> Result<Segment, Failure> {
        if self.new && window.since.is_none() {
            let error = "--new needs the beginning of a period: add --since or --period";
            return Err(Failure::Usage(error.to_owned()));
        }
        let mut not_experts = self.not_expert.clone();
        for expert in &mut not_experts {
            *expert = canonical_username(expert).into_owned();
        }
        if not_experts.iter().any(String::is_empty) {
            let error = "--not-expert has no visible character; give it a text";
            return Err(Failure::Usage(error.to_owned()));
        }
        for UnknownExpert { text, hint } in find_experts(db, "--not-expert", &mut not_experts)? {
            let sentence = format!("--not-expert '{text}' has no clicks yet{hint}");
            print_error("leadclicks", &sentence);
        }
        let history = match self.returning {
            Some(pause) => {
                let length = pause.length(now);
                History::Returning(length.ok_or_else(|| Failure::Usage(NO_PAUSE.to_owned()))?)
            }
            None if self.new => History::New,
            None => History::Any,
        };
        Ok(Segment {
            not_experts,
            history,
        })
    }
}

/// The variable with the leads that are always left out of reports.
const EXCLUDE_VARIABLE: &str = "LEADCLICKS_EXCLUDE";

#[derive(Debug, Args)]
pub(super) struct ExcludeArgs {
    /// Without the clicks of these leads, such as your own staff
    ///
    /// An email or @example.com; repeatable, or separated by commas.
    #[arg(long, value_name = "EMAIL", env = EXCLUDE_VARIABLE, value_delimiter = ',', hide_env_values = true)]
    exclude: Vec<String>,
}

impl ExcludeArgs {
    /// The leads that are left out.
    ///
    /// # Errors
    /// When one is neither an email nor a domain.
    pub(super) fn emails(&self) -> Result<Vec<EmailFilter>, Failure> {
        let variable = env::var(EXCLUDE_VARIABLE).ok();
        let name = match variable {
            Some(value) if value.split(',').eq(&self.exclude) => EXCLUDE_VARIABLE,
            _ => "--exclude",
        };
        let mut texts = self.exclude.clone();
        if name == EXCLUDE_VARIABLE {
            // As after a comma at the end.
            texts.retain(|text| !text.trim().is_empty());
            if texts.is_empty() && !self.exclude.is_empty() {
                return Err(Failure::Usage(empty_variable(EXCLUDE_VARIABLE)));
            }
        }
        let mut emails: Vec<EmailFilter> = Vec::new();
        for text in &texts {
            let email = parse_email(name, text)?;
            if !emails.contains(&email) {
                emails.push(email);
            }
        }
        Ok(emails)
    }
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
    pub(super) fn check(&self, flag: &str, time: Period, now: &Zoned) -> Result<(), Failure> {
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
