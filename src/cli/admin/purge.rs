//! `leadclicks purge`

use std::io::{self, Write};

use clap::{ArgGroup, Args};
use jiff::{Zoned, tz::TimeZone};

use super::{
    confirm::{
        ConfirmArgs, Confirmed, RUN_AGAIN, delete_in_batches, erase_remains, print_leftovers,
    },
    filter::{FilterArgs, WindowArgs, ZoneArgs, similar_experts},
};
use crate::{
    cli::{
        failure::Failure,
        output,
        period::{Period, resolve},
        progress::{READING_CLICKS, timed},
    },
    render::{
        counted, period,
        table::{self, Table},
    },
    storage::{Db, DbLocation, Deletion, EmailFilter, Error, FoundClicks, Selection, Window},
    text::visible,
    timestamp::Timestamp,
};

/// The word that confirms the deletion.
const WORD: &str = "purge";

/// The table that a purge deletes from.
const TABLES: [&str; 1] = ["lead_clicks"];

/// Delete old or unwanted clicks
///
/// Deletes the clicks that meet all conditions: old ones, or those that somebody has made up. It shows them first, and deletes
/// only those that it has counted, the oldest first, in many short transactions, so that the daemon can keep storing
/// clicks. Ctrl-C stops it between two transactions and shows how many clicks are left. Run it again to continue.
///
/// To erase a person from all tables, use forget.
#[derive(Debug, Args)]
#[command(
    group(ArgGroup::new("which").required(true).multiple(true)
        .args(["older_than", "since", "until", "period", "expert", "email", "query"])),
    mut_arg("expert", |arg| {
        let help = "Clicks on the expert with this username, in any spelling";
        arg.help(help).long_help(help)
    }),
    after_help = "\
Examples:
  leadclicks purge --older-than 365d --dry-run
  leadclicks purge --older-than 365d --yes
  leadclicks purge --older-than 2026-01-01 --tz Europe/Berlin
  leadclicks purge --email @spam.example --since 2d
  leadclicks purge --expert jdoe --query 'buy now' --period 2026-11-01"
)]
pub(super) struct PurgeArgs {
    /// Delete clicks of at least this age: 365d, 52w, 12mo (to the second), or those from before 2026-11-01,
    /// '2026-11-01 09:30' (local time) or 2026-11-01T09:30:00Z
    #[arg(
        long,
        value_name = "TIME",
        allow_hyphen_values = true,
        conflicts_with_all = ["until", "period"]
    )]
    older_than: Option<Period>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    window: WindowArgs,
    #[command(flatten)]
    zone: ZoneArgs,
    #[command(flatten)]
    confirm: ConfirmArgs,
}

pub(super) fn run(db: &DbLocation, args: &PurgeArgs, now: &Zoned) -> Result<(), Failure> {
    let (selection, now) = &args.selection(now)?;
    let zone = now.time_zone();
    let db = args.confirm.open(db)?;
    let Some(found) = timed(READING_CLICKS, || db.find_clicks(selection))? else {
        let similar = similar_experts(&db, &selection.experts)?;
        let similar = similar.map(|similar| format!("; usernames like --expert: {similar}"));
        let nothing = format!(
            "no clicks {} in {}{}",
            described(selection, zone),
            visible(&db.name()),
            similar.unwrap_or_default()
        );
        output::ignore_closed_pipe(output::say(&nothing))?;
        if args.confirm.dry_run {
            return Ok(());
        }
        print_leftovers(&db, &[]);
        // Without asking: a run that was killed may have deleted the clicks, but not their copies.
        return erase_remains(&db, &TABLES, RUN_AGAIN);
    };
    let period = args.period(selection, zone);
    let shown = show(&db, selection, period.as_deref(), &found, zone)?;
    let confirmed = args.confirm.confirm(&db, Deletion::Steps, shown, WORD)?;
    if confirmed == Confirmed::DryRun {
        return Ok(());
    }
    let (clicks, deleted) = delete_in_batches(&db, &TABLES, found.count, "click", |after_batch| {
        db.purge(&found, after_batch)
    });
    print_leftovers(&db, if clicks > 0 { &TABLES } else { &[] });
    deleted
}

impl PurgeArgs {
    /// The clicks to delete, and `now` in the time zone of times.
    fn selection(&self, now: &Zoned) -> Result<(Selection, Zoned), Failure> {
        let older_than = self.older_than.map(|time| ("--older-than", time));
        for (flag, time) in older_than.into_iter().chain(self.window.given()) {
            self.zone.check(flag, time, now)?;
        }
        // The time zone is named with the times, so an unknown one needs no warning.
        let zoned = self.zone.in_zone(now);
        let mut window = self.window.resolve(&zoned)?;
        let before = resolve("--older-than", self.older_than, |time| time.ago(&zoned))?;
        if before > Some(Timestamp::new(now.timestamp())) {
            return Err(Failure::Usage(
                "--older-than is in the future; give a time in the past".to_owned(),
            ));
        }
        if let (Some(since), Some(before)) = (window.since, before)
            && since >= before
        {
            return Err(Failure::Usage(
                "--since must be before --older-than".to_owned(),
            ));
        }
        window.until = window.until.or(before);
        Ok((self.filter.selection(window)?, zoned))
    }

    /// The period of the flags that reports have too.
    fn period(&self, selection: &Selection, zone: &TimeZone) -> Option<String> {
        self.window.given().next()?;
        period(selection.window, zone)
    }
}

/// The end of `no clicks …`.
fn described(selection: &Selection, zone: &TimeZone) -> String {
    match selection.window.until {
        Some(until) if is_only_old(selection) => format!(
            "from before {} {}",
            until.local_seconds(zone),
            zone_name(zone)
        ),
        _ => "meet these conditions".to_owned(),
    }
}

/// What follows a time: the name of its zone.
fn zone_name(zone: &TimeZone) -> &str {
    table::zone_name(zone).unwrap_or("local time")
}

/// Whether all clicks from before a time are selected.
fn is_only_old(selection: &Selection) -> bool {
    let old = Selection::of(Window {
        since: None,
        ..selection.window
    });
    *selection == old
}

/// Prints the path of the database, and which clicks would be deleted. For retention, the time says that.
fn show(
    db: &Db,
    selection: &Selection,
    period: Option<&str>,
    found: &FoundClicks,
    zone: &TimeZone,
) -> Result<io::Result<()>, Error> {
    let names = db.expert_names()?;
    let clicks = counted(found.count, "click");
    let leads = counted(found.leads, "lead");
    let (first, last) = (
        found.first.local_seconds(zone),
        found.last.local_seconds(zone),
    );
    let zone_name = zone_name(zone);
    let print = || {
        let mut out = io::stdout().lock();
        writeln!(out, "{}\n", visible(&db.name()))?;
        writeln!(
            out,
            "{clicks} of {leads},\nfrom {first} to {last} {zone_name}"
        )?;
        if let Some(period) = period {
            writeln!(out, "period: {period}")?;
        }
        if !is_only_old(selection) {
            writeln!(out)?;
            // With the usernames, which `--expert` takes here.
            let screen = output::screen(zone.clone());
            Table { screen }.found_clicks(found, &names, &mut out)?;
        }
        if let Some(EmailFilter::Address(_)) = selection.email {
            writeln!(
                out,
                "\nonly clicks; leadclicks forget erases this person from all tables"
            )?;
        }
        out.flush()
    };
    Ok(print())
}
