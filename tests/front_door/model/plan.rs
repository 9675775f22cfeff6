//! The plan: an endless list of steps, determined by a seed.

use std::fmt;

use fastrand::Rng;

/// Experts that leads click. Those in [`IMPORTED`] get names when experts are imported.
const EXPERTS: [&str; 4] = ["jdoe", "zoë", "=sum", "ghost"];
pub const IMPORTED: [&str; 3] = ["jdoe", "zoë", "=sum"];

/// The beginnings of searches; see [`Click::query`].
const SEARCHES: [&str; 5] = ["", "rust", "=1+1", "two\nlines, \"quoted\"", "Zürich 🦀"];

/// The minimum number of steps, even on a slow machine.
pub const STEPS_MIN: usize = 10;

/// How many leads back a click may belong to a lead who has clicked already.
const LEADS_BACK: usize = 40;

/// Longer than the busy timeout, so that clicks are answered 503 and commands fail.
const LONG_LOCK_MS: u64 = 5_500;

/// A click that differs from every other click.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Click {
    pub number: usize,
    pub email: String,
    pub expert: &'static str,
    /// Ends with `#NUMBER;`, which identifies the click everywhere.
    pub query: String,
    /// The page's id of the click, with which it is posted again until it is answered 202.
    pub id: Option<String>,
    /// Whether it is posted again even after an answer.
    pub is_repeated: bool,
}

/// How a client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Sends a click and reads the answer.
    Whole,
    /// Sends an invalid click and reads the answer.
    Invalid,
    /// Sends a click and disconnects before the answer.
    HangsUp,
    /// Disconnects before the whole click is sent.
    CutOff,
}

/// The event that happens once in a step, next to the posts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// SIGKILL, and a start some milliseconds later.
    Kill { down_ms: u64 },
    /// SIGTERM, and a start some milliseconds later.
    Stop { down_ms: u64 },
    /// A report while clicks are posted.
    Report(Question),
    /// `reset --yes`, maybe with a backup, maybe ended by SIGKILL.
    Reset {
        backup: bool,
        killed: Option<Killed>,
    },
    /// `forget` or `purge` without a window, ended by SIGKILL after each of these milliseconds, and repeated until it is done.
    Erase {
        erasure: Erasure,
        kills_ms: [Option<u64>; 2],
    },
    /// `experts import` of names of this edition.
    Import { edition: usize },
    /// Another program holds the write lock.
    Lock { ms: u64 },
    /// Another program reads for a while, so that no checkpoint can finish.
    Reader { ms: u64 },
    /// The file is moved away and back again.
    Move { ms: u64 },
}

/// When a reset is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Killed {
    AfterMs(u64),
    /// As soon as the temporary file of the backup exists.
    WritingBackup,
}

/// Which clicks are deleted, if all conditions are set that they must meet: `forget` for a lead alone, and else `purge`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Erasure {
    /// Those of the lead of the click at so many hundredths of all clicks.
    pub lead: Option<usize>,
    pub expert: Option<&'static str>,
    /// The beginning of a search.
    pub search: Option<&'static str>,
    /// As in [`Question`].
    pub window: Option<(usize, usize)>,
}

/// The arguments of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The clicks on one expert, or by email.
    pub expert: Option<&'static str>,
    pub format: Format,
    pub limit: Option<usize>,
    /// The first click and the one after the last, in hundredths of all clicks; only if nothing else happens meanwhile.
    pub window: Option<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Ndjson,
    Csv,
    RawCsv,
}

pub struct Step {
    /// The clicks that each connection posts, one after the other.
    pub connections: Vec<Vec<(Click, Manner)>>,
    /// Each with its time in milliseconds after the beginning of the step.
    pub events: Vec<(u64, Event)>,
    /// The report after everything else in the step has ended.
    pub question: Question,
    /// The deletion after that.
    pub erasure: Option<Erasure>,
}

impl Step {
    pub fn has(&self, is_it: impl Fn(&Event) -> bool) -> bool {
        self.events.iter().any(|(_, event)| is_it(event))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let posts: Vec<_> = self.connections.iter().flatten().collect();
        let numbers = || posts.iter().map(|(click, _)| click.number);
        write!(f, "{} posts", posts.len())?;
        if let (Some(first), Some(last)) = (numbers().min(), numbers().max()) {
            let connections = self.connections.len();
            write!(f, " (#{first} to #{last}) by {connections} connections")?;
        }
        for (delay_ms, event) in &self.events {
            write!(f, "; after {delay_ms} ms {event:?}")?;
        }
        write!(f, "; then {:?}", self.question)?;
        if let Some(erasure) = &self.erasure {
            write!(f, "; then {erasure:?}")?;
        }
        Ok(())
    }
}

/// The steps of one seed.
pub struct Plan {
    /// Whether the database is a host app's.
    pub is_host_app: bool,
    rng: Rng,
    /// The step in which a lock is held for long: once, since it takes a quarter of the test's time.
    long_lock_at: usize,
    steps: usize,
    clicks: usize,
    editions: usize,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        Self {
            is_host_app: rng.u8(..3) == 0,
            long_lock_at: rng.usize(1..STEPS_MIN),
            steps: 0,
            rng,
            clicks: 0,
            editions: 0,
        }
    }

    pub fn step(&mut self) -> Step {
        self.steps += 1;
        let events = self.events();
        let load = self.rng.u8(if self.steps == self.long_lock_at {
            3..10
        } else {
            0..10
        });
        let (connections, clicks) = match load {
            0 => (0, 0),
            1 | 2 => (1, self.rng.usize(1..4)),
            _ => (self.rng.usize(2..12), self.rng.usize(20..800)),
        };
        let mut posts = vec![Vec::new(); connections];
        for _ in 0..clicks {
            let post = (self.click(), self.manner());
            posts[self.rng.usize(..connections)].push(post);
        }
        Step {
            connections: posts,
            events,
            question: self.question(true),
            erasure: self.one_in(2).then(|| self.erasure()),
        }
    }

    fn erasure(&mut self) -> Erasure {
        Erasure {
            lead: self.one_in(2).then(|| self.rng.usize(..100)),
            expert: self.one_in(3).then(|| self.expert()),
            search: self
                .one_in(3)
                .then(|| SEARCHES[self.rng.usize(1..SEARCHES.len())]),
            window: self
                .one_in(3)
                .then(|| (self.rng.usize(..100), self.rng.usize(..100))),
        }
    }

    fn events(&mut self) -> Vec<(u64, Event)> {
        if self.steps == self.long_lock_at {
            let reset = Event::Reset {
                backup: true,
                killed: None,
            };
            return vec![
                (0, Event::Lock { ms: LONG_LOCK_MS }),
                (self.rng.u64(10..60), reset),
            ];
        }
        let must_restart = self.steps == STEPS_MIN;
        if !must_restart && self.one_in(25) {
            let ms = self.rng.u64(1..100);
            return vec![(self.rng.u64(..20), Event::Move { ms })];
        }
        let mut events = Vec::new();
        if must_restart || self.one_in(3) {
            let down_ms = self.rng.u64(..40);
            events.push(if self.rng.bool() {
                Event::Kill { down_ms }
            } else {
                Event::Stop { down_ms }
            });
        }
        if self.one_in(3) {
            events.push(Event::Report(self.question(false)));
        }
        if self.one_in(3) {
            let backup = self.rng.u8(..3) > 0;
            let killed = self.one_in(3).then(|| {
                if backup && self.rng.bool() {
                    Killed::WritingBackup
                } else {
                    Killed::AfterMs(self.rng.u64(1..25))
                }
            });
            events.push(Event::Reset { backup, killed });
        } else if self.one_in(2) {
            let erasure = Erasure {
                window: None,
                ..self.erasure()
            };
            let kills_ms = [(); 2].map(|()| self.rng.bool().then(|| self.rng.u64(1..80)));
            events.push(Event::Erase { erasure, kills_ms });
        }
        if self.one_in(8) {
            self.editions += 1;
            events.push(Event::Import {
                edition: self.editions,
            });
        }
        if self.one_in(4) {
            let ms = self.rng.u64(1..150);
            events.push(Event::Lock { ms });
        }
        if self.one_in(3) {
            let ms = self.rng.u64(1..200);
            events.push(Event::Reader { ms });
        }
        events
            .into_iter()
            .map(|event| (self.rng.u64(..40), event))
            .collect()
    }

    fn click(&mut self) -> Click {
        self.clicks += 1;
        let number = self.clicks;
        let back = self.rng.usize(..LEADS_BACK);
        let lead = if self.rng.bool() {
            number
        } else {
            number.saturating_sub(back)
        };
        let search = self.rng.choice(SEARCHES).unwrap_or_default();
        Click {
            number,
            email: format!("lead{lead}@example.com"),
            expert: self.expert(),
            query: format!("{search}#{number};"),
            id: self
                .rng
                .bool()
                .then(|| format!("0198c2a1-7d3e-7b4f-9c5d-{number:012x}")),
            is_repeated: self.one_in(8),
        }
    }

    fn expert(&mut self) -> &'static str {
        EXPERTS[self.rng.usize(..EXPERTS.len())]
    }

    fn manner(&mut self) -> Manner {
        match self.rng.u8(..60) {
            0 => Manner::Invalid,
            1 => Manner::HangsUp,
            2 => Manner::CutOff,
            _ => Manner::Whole,
        }
    }

    fn question(&mut self, may_have_window: bool) -> Question {
        let formats = [Format::Json, Format::Ndjson, Format::Csv, Format::RawCsv];
        Question {
            expert: self.one_in(2).then(|| self.expert()),
            format: formats[self.rng.usize(..formats.len())],
            limit: self.one_in(3).then(|| self.rng.usize(1..100)),
            window: (may_have_window && self.one_in(4))
                .then(|| (self.rng.usize(..100), self.rng.usize(..100))),
        }
    }

    fn one_in(&mut self, times: u32) -> bool {
        self.rng.u32(..times) == 0
    }
}
