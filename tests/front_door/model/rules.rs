//! The rules that must hold.
//!
//! - A click that was answered 202 is stored exactly once, until a deletion wipes it.
//! - A click that was refused, or not sent completely, is not stored.
//! - A click without an answer may be stored, at most once. Once seen, it stays. If it was not seen when its daemon has
//!   ended and the next one has stored another click, it is not stored.
//! - A reset wipes every click that was answered before it began, and none that was sent after it ended. Its backup
//!   contains exactly what it wipes. A killed reset does so or wipes nothing.
//! - Of two clicks, one answered before the other was sent, the former has the lower id and no later time.
//! - `forget` and `purge` delete exactly the clicks that they select, if nothing else happens. Otherwise, and if they are killed
//!   and repeated, they delete all of these that were answered before they began, none that were sent after they ended, and no
//!   others. Their bytes are in no file then.
//! - A report shows one state of all this between its begin and its end, in its documented order.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{
    plan::{Click, Question},
    reports::{Line, Row, Selected},
};

/// A moment in the order of everything that the test observed.
pub type Tick = u64;

/// Numbers of clicks.
type Numbers = BTreeSet<usize>;

/// What a client knows about its click.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// 202, read at this moment; or seen in the database by then.
    Accepted(Tick),
    /// 422 or 503, or the click was not sent completely.
    Refused,
    /// The connection ended before an answer.
    Unknown,
}

#[derive(Debug)]
pub struct Posted {
    pub click: Click,
    /// Before its first byte.
    pub sent: Tick,
    pub fate: Fate,
}

#[derive(Debug)]
pub struct Reset {
    pub began: Tick,
    pub ended: Tick,
    pub outcome: Wiped,
    /// The clicks in the backup, ordered by id.
    pub backup: Backup,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiped {
    /// It wiped everything: this many rows.
    Rows(usize),
    /// It wiped everything without reporting the number, because the bytes are still in the WAL.
    Uncounted,
    /// The reset says that it deleted nothing.
    Nothing,
    /// It was killed.
    Unknown,
}

#[derive(Debug)]
pub enum Backup {
    NotAsked,
    /// A backup was requested, but not written.
    Missing,
    Written(Vec<Row>),
}

/// A deletion of some clicks while other things happened.
#[derive(Debug)]
pub struct Erased {
    /// Before the first of its runs, of which the last was not killed.
    pub began: Tick,
    pub ended: Tick,
    pub selected: Selected,
}

impl Erased {
    fn may_delete(&self, posted: &Posted) -> bool {
        posted.sent < self.ended && self.selected.has_click(&posted.click)
    }
}

/// A report that was made while other things happened.
#[derive(Debug)]
pub struct Look {
    pub began: Tick,
    pub ended: Tick,
    pub question: Question,
    pub lines: Vec<Line>,
}

/// The events of a step.
#[derive(Debug, Default)]
pub struct Happened {
    pub posted: Vec<Posted>,
    pub reset: Option<Reset>,
    /// Not together with a reset.
    pub erased: Option<Erased>,
    pub looks: Vec<Look>,
    /// When the daemon that ran at the beginning of the step had ended.
    pub daemon_gone: Option<Tick>,
    /// When all of this had ended.
    pub over: Tick,
    /// The content of the database then, ordered by id.
    pub rows: Vec<Row>,
}

/// All clicks, and what is known about them after the last step.
#[derive(Default)]
pub struct Model {
    posted: BTreeMap<usize, Posted>,
    /// In the database.
    there: Numbers,
    /// Without an answer, and perhaps still about to be stored.
    open: Numbers,
    /// When the last daemon that has ended was gone.
    daemon_gone: Tick,
    /// A reset that was killed and has wiped nothing, but still may; see [`Model::settle`].
    killed_reset: Option<Reset>,
}

impl Model {
    /// Whether a reset of an earlier step may still wipe clicks.
    pub fn may_reset(&self) -> bool {
        self.killed_reset.is_some()
    }

    /// Checks a step and adds it to the model. Returns the clicks that it has wiped or erased.
    pub fn check(&mut self, mut step: Happened) -> Vec<Click> {
        let mut must = self.there.clone();
        for posted in step.posted.drain(..) {
            let number = posted.click.number;
            match posted.fate {
                Fate::Accepted(_) => must.insert(number),
                Fate::Unknown => self.open.insert(number),
                Fate::Refused => false,
            };
            self.posted.insert(number, posted);
        }
        let now = self.numbers(&step.rows);
        self.check_subset(
            &now,
            &(&must | &self.open),
            "in the database, but refused, wiped or never stored",
        );
        step.reset = step.reset.or(self.killed_reset.take());
        let wiped = match &step.reset {
            Some(reset) => self.check_reset(reset, &must, &now),
            None => Numbers::new(),
        };
        let erased = match &step.erased {
            Some(erased) => self.check_erased(erased, &must, &now),
            None => Numbers::new(),
        };
        let lost = &(&(&must - &now) - &wiped) - &erased;
        self.check_subset(&lost, &Numbers::new(), "lost");
        self.check_order(&wiped, &step);
        for look in &step.looks {
            let seen = self.check_look(look, &must, &step);
            self.check_subset(&seen, &(&now | &wiped), "in a report, but wiped");
        }

        self.daemon_gone = step.daemon_gone.unwrap_or(self.daemon_gone);
        let last_sent = (&must - &self.there)
            .iter()
            .map(|n| self.posted[n].sent)
            .max();
        self.settle(&now, &wiped, step.over, last_sent.unwrap_or(0));
        self.killed_reset = step.reset.filter(|reset| {
            reset.outcome == Wiped::Unknown && wiped.is_empty() && last_sent < Some(reset.ended)
        });
        wiped
            .union(&erased)
            .map(|number| self.posted[number].click.clone())
            .collect()
    }

    /// Takes note of the clicks that were deleted from the database while nothing else happened, and returns them.
    pub fn erase(&mut self, deleted: &[&Row]) -> Vec<Click> {
        let deleted: Numbers = deleted.iter().map(|row| number_of(&row.query)).collect();
        self.there = &self.there - &deleted;
        deleted
            .iter()
            .map(|number| self.posted[number].click.clone())
            .collect()
    }

    /// What is known after a step whose last accepted click was sent at `last_sent`.
    ///
    /// A program that is killed while it commits may leave its transaction in the WAL unseen. The next program that opens
    /// the database after all others have closed it, or were killed, recovers that transaction as committed, unless another
    /// one was written in the meantime.
    fn settle(&mut self, now: &Numbers, wiped: &Numbers, over: Tick, last_sent: Tick) {
        for number in now & &self.open {
            self.posted.get_mut(&number).unwrap().fate = Fate::Accepted(over);
        }
        self.open = &(&self.open - now) - wiped;
        if last_sent > self.daemon_gone {
            self.open
                .retain(|number| self.posted[number].sent > self.daemon_gone);
        }
        self.there.clone_from(now);
    }

    /// The emails that may be in the database.
    pub fn emails(&self) -> HashSet<&str> {
        let numbers = self.there.union(&self.open);
        numbers
            .map(|number| &*self.posted[number].click.email)
            .collect()
    }

    /// Checks a reset, and returns the clicks that it wiped of those known to be stored.
    fn check_reset(&self, reset: &Reset, must: &Numbers, now: &Numbers) -> Numbers {
        let may = must | &self.open;
        let missing = must - now;
        let before = self.filter(must, |posted| {
            self.accepted(posted.click.number) < reset.began
        });
        let after = self.filter(&may, |posted| posted.sent > reset.ended);
        let backup = match &reset.backup {
            Backup::Written(rows) => Some(self.numbers(rows)),
            Backup::NotAsked | Backup::Missing => None,
        };
        if let Some(backup) = &backup {
            self.check_subset(
                backup,
                &(&may - &after),
                "in the backup, but not stored when it was made",
            );
            self.check_subset(&before, backup, "not in the backup, but stored before it");
        }
        let has_wiped = match reset.outcome {
            Wiped::Rows(_) | Wiped::Uncounted => true,
            Wiped::Nothing => false,
            Wiped::Unknown => !missing.is_empty(),
        };
        if !has_wiped {
            return Numbers::new();
        }
        self.check_subset(
            &before,
            &missing,
            "still there after a reset that began later",
        );
        self.check_subset(
            &missing,
            &(&may - &after),
            "wiped by a reset that had ended",
        );
        if let Some(backup) = &backup {
            self.check_subset(&missing, backup, "wiped, but not in the backup");
            self.check_subset(backup, &(&may - now), "not wiped, but in the backup");
        }
        assert!(
            !matches!(reset.backup, Backup::Missing),
            "wiped without the backup"
        );
        if let Wiped::Rows(rows) = reset.outcome {
            let rows_min = backup.as_ref().unwrap_or(&missing).len();
            let rows_max = backup.as_ref().unwrap_or(&(&may - now)).len();
            assert!(
                (rows_min..=rows_max).contains(&rows),
                "{rows} rows deleted by its own account, not {rows_min} to {rows_max}"
            );
        }
        backup.unwrap_or(missing)
    }

    /// Checks a deletion of some clicks, and returns those that it deleted of those known to be stored.
    fn check_erased(&self, erased: &Erased, must: &Numbers, now: &Numbers) -> Numbers {
        let missing = must - now;
        let before = self.filter(must, |posted| {
            self.accepted(posted.click.number) < erased.began && erased.may_delete(posted)
        });
        self.check_subset(
            &before,
            &missing,
            "still there after a deletion that began later",
        );
        self.filter(&missing, |posted| erased.may_delete(posted))
    }

    /// Checks that the wiped clicks and then the stored ones are in the order that the clients observed.
    fn check_order(&self, wiped: &Numbers, step: &Happened) {
        let backup = match &step.reset {
            Some(Reset {
                backup: Backup::Written(rows),
                ..
            }) if !wiped.is_empty() => &rows[..],
            _ => &[],
        };
        let sent_at = |number: &usize| self.posted[number].sent;
        let mut last_sent = 0;
        if backup.is_empty() {
            last_sent = wiped.iter().map(sent_at).max().unwrap_or(0);
        }
        for row in backup.iter().chain(&step.rows) {
            let number = number_of(&row.query);
            assert!(
                self.accepted(number) > last_sent,
                "#{number} comes after a click that was sent when it had been answered"
            );
            last_sent = last_sent.max(sent_at(&number));
        }
    }

    /// Checks a report, and returns its clicks that nothing can have deleted.
    fn check_look(&self, look: &Look, must: &Numbers, step: &Happened) -> Numbers {
        let rows: Vec<usize> = look
            .lines
            .iter()
            .map(|line| number_of(&line.query))
            .collect();
        let seen: Numbers = rows.iter().copied().collect();
        assert_eq!(
            rows.len(),
            seen.len(),
            "a click is shown twice: {:?}",
            look.question
        );
        for line in &look.lines {
            self.check_click(&line.email, &line.expert, &line.query);
        }
        check_look_order(look);

        let reset = step.reset.as_ref();
        let reset = reset.filter(|reset| reset.outcome != Wiped::Nothing);
        let erased = step.erased.as_ref();
        let surely_wiped = |posted: &Posted| {
            reset.is_some_and(|reset| {
                reset.outcome != Wiped::Unknown
                    && reset.ended < look.began
                    && self.accepted(posted.click.number) < reset.began
            })
        };
        let maybe_wiped = |posted: &Posted| {
            reset.is_some_and(|reset| reset.began < look.ended && posted.sent < reset.ended)
                || erased
                    .is_some_and(|erased| erased.began < look.ended && erased.may_delete(posted))
        };
        let is_asked = |posted: &Posted| {
            look.question
                .expert
                .is_none_or(|expert| posted.click.expert == expert)
        };
        let may = self.filter(&(must | &self.open), |posted| {
            is_asked(posted) && posted.sent < look.ended && !surely_wiped(posted)
        });
        self.check_subset(&seen, &may, "in a report, but not stored");

        // A click that was answered before another was sent was stored before it.
        let state = seen.iter().map(|number| self.posted[number].sent).max();
        let state = state.unwrap_or(0).max(look.began);
        let must = self.filter(must, |posted| {
            is_asked(posted) && self.accepted(posted.click.number) < state && !maybe_wiped(posted)
        });
        let emails: HashSet<&str> = look.lines.iter().map(|line| &*line.email).collect();
        let shown = match look.question.expert {
            Some(_) => seen.len(),
            None => emails.len(),
        };
        let limit = look.question.limit.unwrap_or(usize::MAX);
        assert!(shown <= limit, "more than the limit: {:?}", look.question);
        let must = self.filter(&must, |posted| {
            let is_of_lead =
                look.question.expert.is_none() && emails.contains(&*posted.click.email);
            shown < limit || is_of_lead
        });
        self.check_subset(&must, &seen, "stored, but not in the report");
        self.filter(&seen, |posted| {
            reset.is_none_or(|reset| posted.sent > reset.ended)
                && erased.is_none_or(|erased| !erased.may_delete(posted))
        })
    }

    /// The clicks of a database, which must be intact and ordered by time.
    fn numbers(&self, rows: &[Row]) -> Numbers {
        let mut numbers = Numbers::new();
        for row in rows {
            self.check_click(&row.email, &row.expert, &row.query);
            assert!(
                numbers.insert(number_of(&row.query)),
                "stored twice: {row:?}"
            );
        }
        for pair in rows.windows(2) {
            assert!(
                pair[0].created_at <= pair[1].created_at,
                "time runs backwards: {pair:#?}"
            );
        }
        numbers
    }

    /// Checks that a click was posted as the report shows it.
    fn check_click(&self, email: &str, expert: &str, query: &str) {
        let posted = self.posted.get(&number_of(query));
        let click = posted.map(|posted| {
            (
                &*posted.click.email,
                posted.click.expert,
                &*posted.click.query,
            )
        });
        assert_eq!(
            click,
            Some((email, expert, query)),
            "a click that was never posted"
        );
    }

    /// When a click was answered 202, or never.
    fn accepted(&self, number: usize) -> Tick {
        match self.posted[&number].fate {
            Fate::Accepted(at) => at,
            Fate::Refused | Fate::Unknown => Tick::MAX,
        }
    }

    fn filter(&self, numbers: &Numbers, keep: impl Fn(&Posted) -> bool) -> Numbers {
        numbers
            .iter()
            .copied()
            .filter(|number| keep(&self.posted[number]))
            .collect()
    }

    #[track_caller]
    fn check_subset(&self, part: &Numbers, whole: &Numbers, what_else: &str) {
        let others: Vec<&Posted> = part
            .difference(whole)
            .map(|number| &self.posted[number])
            .collect();
        let shown = &others[..others.len().min(10)];
        assert!(
            others.is_empty(),
            "{} clicks are {what_else}, among them {shown:#?}",
            others.len()
        );
    }
}

/// Newest first; by email the lead of the newest click first, and each lead once.
fn check_look_order(look: &Look) {
    let descends = |times: &[&str]| times.is_sorted_by(|newer, older| newer >= older);
    let is_of_lead =
        |one: &Line, other: &Line| look.question.expert.is_some() || one.email == other.email;
    let mut heads = Vec::new();
    let mut emails = HashSet::new();
    for lines in look.lines.chunk_by(is_of_lead) {
        let times: Vec<&str> = lines.iter().map(|line| &*line.created_at).collect();
        assert!(descends(&times), "not newest first: {times:?}");
        assert!(
            emails.insert(&lines[0].email),
            "a lead is shown twice: {}",
            lines[0].email
        );
        heads.push(times[0]);
    }
    assert!(
        descends(&heads),
        "the leads are not newest first: {heads:?}"
    );
}

/// The number that a query ends with.
fn number_of(query: &str) -> usize {
    let number = query
        .rsplit_once('#')
        .and_then(|(_, end)| end.strip_suffix(';'));
    number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("no click's query: {query:?}"))
}
