//! Random use against a simple model: posts, reports, deletions, resets with backups, imports, restarts and kills at the same
//! time. After each step the database, the reports and the backups are what the model in `rules` allows.
//!
//! A seed determines the steps; both are printed if the test fails. The timing depends on the operating system, so a
//! replay may need some tries. Two variables:
//!
//! - `LEADCLICKS_TEST_SEED=7` replays the steps of that seed, as in
//!   `LEADCLICKS_TEST_SEED=7 cargo test --test front_door model`.
//! - `LEADCLICKS_TEST_LONG=1` runs for ten minutes, with a new seed every twenty seconds, or always with the given one.

mod plan;
mod reports;
mod rules;

use std::{
    collections::{HashMap, HashSet},
    env, fs,
    hash::{BuildHasher, RandomState},
    io::{ErrorKind, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rusqlite::Connection;

use crate::support::{Client, Daemon, HOST_APP, PATIENCE, Ran, Site, is_long, post_request};
use plan::{Click, Erasure, Event, Killed, Manner, Plan, Question, STEPS_MIN, Step};
use reports::{Line, Names, Row, Selected};
use rules::{Backup, Erased, Fate, Happened, Look, Model, Posted, Reset, Tick, Wiped};

/// How long the steps of one seed last.
const SEED_TIME: Duration = Duration::from_secs(20);
/// How long a command waits at least for a lock that others hold.
const PATIENCE_OF_PROGRAMS: Duration = Duration::from_secs(5);
const LONG_TIME: Duration = Duration::from_mins(10);

#[test]
fn random_use_with_kills_and_resets_leaves_what_a_simple_model_says() {
    let given = env::var("LEADCLICKS_TEST_SEED").ok();
    let given: Option<u64> = given.map(|seed| seed.parse().expect("a seed is a number"));
    let begin = Instant::now();
    loop {
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one("model"));
        eprintln!("LEADCLICKS_TEST_SEED={seed}");
        follow(Plan::new(seed));
        if !is_long() || begin.elapsed() > LONG_TIME {
            break;
        }
    }
}

fn follow(mut plan: Plan) {
    let begin = Instant::now();
    let mut run = Run::start(plan.is_host_app);
    while run.counts.steps < STEPS_MIN || begin.elapsed() < SEED_TIME {
        let step = plan.step();
        eprintln!("step {}: {step}", run.counts.steps);
        run.take(&step);
    }
    let daemon = run.world.daemon.lock().unwrap().take();
    let (status, log) = daemon.expect("a daemon").stop();
    assert!(status.success(), "{log}");
    run.check(run.world.now());
    eprintln!("{:#?}", run.counts);
    let tried = [
        run.counts.accepted,
        run.counts.restarts,
        run.counts.resets,
        run.counts.reports,
    ];
    assert!(tried.iter().all(|count| *count > 0), "{tried:?}");
}

/// The real programs on one database, and the model of what it should contain.
struct Run {
    world: World,
    model: Model,
    names: Names,
    /// The content of the database after the last step.
    rows: Vec<Row>,
    counts: Counts,
}

/// The state that concurrent actors share.
struct World {
    site: Site,
    /// None while the daemon is restarted.
    daemon: Mutex<Option<Daemon>>,
    clock: AtomicU64,
}

/// What was known before a step.
#[derive(Clone, Copy)]
struct Before<'a> {
    names: Names,
    rows: &'a [Row],
    may_reset: bool,
}

/// Whether clicks with ids are posted again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retries {
    On,
    Off,
}

/// Statistics of a run.
#[derive(Debug, Default)]
struct Counts {
    steps: usize,
    accepted: usize,
    refused: usize,
    unanswered: usize,
    restarts: usize,
    resets: usize,
    /// Commands that found the database locked.
    resets_refused: usize,
    backups: usize,
    accepted_beside_resets: usize,
    reports: usize,
    /// Commands that deleted some clicks while nothing else happened.
    erasures: usize,
    /// Those while other things happened, and how often they were killed.
    erasures_beside: usize,
    erasures_killed: usize,
    /// The clicks that these deleted.
    erased_beside: usize,
}

/// The result of an event.
enum Came {
    Restart { daemon_gone: Tick },
    Report(Look),
    Reset(Reset),
    Erased(Erased, usize),
    Import(Names),
    Nothing,
}

impl Run {
    fn start(is_host_app: bool) -> Self {
        let (site, names) = if is_host_app {
            let column = "ALTER TABLE lead_clicks ADD COLUMN click_id VARCHAR(36)";
            (
                Site::new().with_database(HOST_APP).with_database(column),
                Names::HostApp,
            )
        } else {
            (Site::new(), Names::Imported { edition: 0 })
        };
        let world = World {
            daemon: Mutex::new(Some(start_daemon(&site))),
            site,
            clock: AtomicU64::new(1),
        };
        Self {
            world,
            model: Model::default(),
            names,
            rows: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Runs a step and checks its result.
    fn take(&mut self, step: &Step) {
        // A deletion can wipe a click and the daemon can restart before the click is posted again. It is then stored again.
        let may_delete = step
            .has(|event| matches!(event, Event::Reset { .. } | Event::Erase { .. }))
            || self.model.may_reset();
        let retries = if may_delete {
            Retries::Off
        } else {
            Retries::On
        };
        let before = Before {
            names: self.names,
            rows: &self.rows,
            may_reset: self.model.may_reset(),
        };
        let (posted, came) = self.world.let_happen(step, before, retries);
        check_answers(step, &posted);
        let mut happened = Happened {
            posted,
            ..self.world.now()
        };
        let names_before = self.names;
        for came in came {
            match came {
                Came::Restart { daemon_gone } => happened.daemon_gone = Some(daemon_gone),
                Came::Report(look) => happened.looks.push(look),
                Came::Reset(reset) => happened.reset = Some(reset),
                Came::Erased(erased, killed) => {
                    self.counts.erasures_beside += 1;
                    self.counts.erasures_killed += killed;
                    happened.erased = Some(erased);
                }
                Came::Import(names) => self.names = names,
                Came::Nothing => {}
            }
        }
        for line in happened.looks.iter().flat_map(|look| &look.lines) {
            let names = [names_before, self.names].map(|names| names.of(&line.expert));
            assert!(names.contains(&line.expert_name), "not {names:?}: {line:?}");
        }
        self.counts.add(&happened);
        let outcome = happened.reset.as_ref().map(|reset| reset.outcome);
        let is_erased = happened.erased.is_some();
        // A daemon that was killed may have left their bytes in the WAL.
        let unanswered: HashSet<String> = happened
            .posted
            .iter()
            .filter(|posted| !matches!(posted.fate, Fate::Accepted(_)))
            .map(|posted| posted.click.email.clone())
            .collect();
        let mut wiped = self.check(happened);
        if is_erased {
            self.counts.erased_beside += wiped.len();
            wiped.retain(|click| !unanswered.contains(&click.email));
        }
        if is_erased || matches!(outcome, Some(Wiped::Rows(_))) {
            self.check_bytes_are_gone(&wiped);
        }
        self.check_report(&step.question);
        if let Some(erasure) = &step.erasure {
            self.erase(erasure);
        }
        self.counts.steps += 1;
    }

    fn check(&mut self, happened: Happened) -> Vec<Click> {
        self.rows.clone_from(&happened.rows);
        self.model.check(happened)
    }

    /// If nothing else happens during a report, its exact content is known.
    fn check_report(&mut self, question: &Question) {
        loop {
            let window = reports::window(question.window, &self.rows);
            let arguments = reports::arguments(question, window);
            let shown = reports::parse(question, &self.world.report(&arguments));
            let expected = reports::expected(question, &self.rows, self.names);
            let now = self.world.now();
            if now.rows == self.rows {
                check_lines(&arguments, &shown, &expected);
                break;
            }
            // A click whose client did not wait for the answer came late.
            self.check(now);
        }
    }

    /// If nothing else happens during a deletion, which clicks it deletes is known.
    fn erase(&mut self, erasure: &Erasure) {
        // A reset that was killed may still be recovered.
        if self.model.may_reset() {
            return;
        }
        let Some((arguments, deleted)) = reports::erasure(erasure, &self.rows) else {
            return;
        };
        let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
        let ran = self.world.run(&arguments);
        assert!(ran.status.success() && ran.stderr.is_empty(), "{ran}");
        let wiped = self.model.erase(&deleted);
        self.counts.erasures += usize::from(!wiped.is_empty());
        self.check(self.world.now());
        self.check_bytes_are_gone(&wiped);
    }

    /// No connection of this process to the database may be open: reading the file would end its locks.
    fn check_bytes_are_gone(&self, wiped: &[Click]) {
        let emails = self.model.emails();
        for name in ["leadclicks.db", "leadclicks.db-wal"] {
            let bytes = fs::read(self.world.site.path(name)).unwrap_or_default();
            let [leads, clicks] = [("lead", b'@'), ("#", b';')].map(|(before, after)| {
                let numbers = bytes.windows(before.len()).enumerate();
                numbers
                    .filter(|(_, window)| *window == before.as_bytes())
                    .filter_map(|(at, _)| number_before(&bytes[at + before.len()..], after))
                    .collect::<HashSet<usize>>()
            });
            for click in wiped {
                assert!(
                    !clicks.contains(&click.number),
                    "{click:?} is still in {name}"
                );
                let lead = number_before(&click.email.as_bytes()["lead".len()..], b'@').unwrap();
                let is_gone = !leads.contains(&lead) || emails.contains(&*click.email);
                assert!(is_gone, "{} is still in {name}", click.email);
            }
        }
    }
}

/// The number at the beginning of `bytes`, if `after` follows it.
fn number_before(bytes: &[u8], after: u8) -> Option<usize> {
    let digits = bytes
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok()?;
    (bytes.get(digits) == Some(&after)).then_some(number)
}

/// Only the end of the daemon may leave a client without an answer, and only a fault may refuse its click.
fn check_answers(step: &Step, posted: &[Posted]) {
    let fates: HashMap<usize, Fate> = posted
        .iter()
        .map(|posted| (posted.click.number, posted.fate))
        .collect();
    let daemon_ends = step.has(|event| matches!(event, Event::Kill { .. } | Event::Stop { .. }));
    let is_locked = step.has(|event| {
        matches!(
            event,
            Event::Lock { .. } | Event::Reset { .. } | Event::Move { .. }
        )
    });
    for (click, manner) in step.connections.iter().flatten() {
        let fate = fates[&click.number];
        let is_excused = match fate {
            Fate::Accepted(_) => true,
            Fate::Refused => *manner != Manner::Whole || is_locked || daemon_ends,
            Fate::Unknown => *manner == Manner::HangsUp || daemon_ends,
        };
        assert!(is_excused, "without a reason {fate:?}: {click:?}");
    }
}

fn check_lines(arguments: &[String], shown: &[Line], expected: &[Line]) {
    let lines = 0..shown.len().max(expected.len());
    if let Some(first) = lines.into_iter().find(|&n| shown.get(n) != expected.get(n)) {
        panic!(
            "{arguments:?} shows {} clicks, not {}; the first difference, at {first}:\n{:#?}\nshould be\n{:#?}",
            shown.len(),
            expected.len(),
            shown.get(first),
            expected.get(first)
        );
    }
}

impl Counts {
    fn add(&mut self, happened: &Happened) {
        for posted in &happened.posted {
            *match posted.fate {
                Fate::Accepted(_) => &mut self.accepted,
                Fate::Refused => &mut self.refused,
                Fate::Unknown => &mut self.unanswered,
            } += 1;
        }
        self.restarts += usize::from(happened.daemon_gone.is_some());
        self.reports += 1 + happened.looks.len();
        if let Some(reset) = &happened.reset {
            let is_beside = |posted: &&Posted| {
                let is_after = matches!(posted.fate, Fate::Accepted(at) if at > reset.began);
                is_after && posted.sent < reset.ended
            };
            self.accepted_beside_resets += happened.posted.iter().filter(is_beside).count();
            self.resets += 1;
            self.resets_refused += usize::from(reset.outcome == Wiped::Nothing);
            self.backups += usize::from(matches!(reset.backup, Backup::Written(_)));
        }
    }
}

impl World {
    /// The current content of the database.
    fn now(&self) -> Happened {
        Happened {
            over: self.tick(),
            rows: rows_of(&self.site.db_path()),
            ..Happened::default()
        }
    }

    fn tick(&self) -> Tick {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn let_happen(
        &self,
        step: &Step,
        before: Before<'_>,
        retries: Retries,
    ) -> (Vec<Posted>, Vec<Came>) {
        thread::scope(|scope| {
            let posting: Vec<_> = step
                .connections
                .iter()
                .map(|posts| scope.spawn(|| self.post_all(posts, retries)))
                .collect();
            let happening: Vec<_> = step
                .events
                .iter()
                .map(|&(delay_ms, event)| {
                    scope.spawn(move || {
                        thread::sleep(Duration::from_millis(delay_ms));
                        self.happen(event, before)
                    })
                })
                .collect();
            let posted = posting
                .into_iter()
                .flat_map(|thread| thread.join().expect("posts"));
            let posted = posted.collect();
            let came = happening
                .into_iter()
                .map(|thread| thread.join().expect("an event"));
            (posted, came.collect())
        })
    }

    fn post_all(&self, posts: &[(Click, Manner)], retries: Retries) -> Vec<Posted> {
        let mut kept_alive = None;
        let mut posted = Vec::new();
        for (click, manner) in posts {
            let mut client = kept_alive
                .take()
                .unwrap_or_else(|| Client::new(self.connect()));
            let expert = if *manner == Manner::Invalid {
                ""
            } else {
                click.expert
            };
            let request = post_request(&body_of(click, expert));
            let whole = request.len();
            let sent = self.tick();
            let fate = match manner {
                Manner::HangsUp => self.send_and_leave(&request[..whole], Fate::Unknown),
                Manner::CutOff => self.send_and_leave(&request[..whole - 1], Fate::Refused),
                Manner::Whole | Manner::Invalid => match client.try_send(&request) {
                    Ok(answer) => {
                        kept_alive = Some(client);
                        match (answer.status, manner) {
                            (202, Manner::Whole) => Fate::Accepted(self.tick()),
                            (422, Manner::Invalid) | (503, Manner::Whole) => Fate::Refused,
                            _ => panic!("{click:?} {manner:?}: {answer:?}"),
                        }
                    }
                    Err(error) => {
                        assert_ne!(error.kind(), ErrorKind::WouldBlock, "no answer in time");
                        match manner {
                            Manner::Invalid => Fate::Refused,
                            _ => Fate::Unknown,
                        }
                    }
                },
            };
            let fate = match retries {
                Retries::On => self.post_again(click, &request, fate),
                Retries::Off => fate,
            };
            let click = click.clone();
            posted.push(Posted { click, sent, fate });
        }
        posted
    }

    /// Posts a click that has an id again if it may be stored, as a page does: if no answer came until one comes, and some
    /// in any case. It is stored once, and accepted with the last answer.
    fn post_again(&self, click: &Click, request: &str, fate: Fate) -> Fate {
        let is_due =
            fate == Fate::Unknown || (click.is_repeated && matches!(fate, Fate::Accepted(_)));
        if click.id.is_none() || !is_due {
            return fate;
        }
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            match Client::new(self.connect()).try_send(request) {
                Ok(answer) if answer.status == 202 => return Fate::Accepted(self.tick()),
                Ok(answer) => assert_eq!(answer.status, 503, "{click:?}"),
                Err(error) => assert_ne!(error.kind(), ErrorKind::WouldBlock, "no answer in time"),
            }
            assert!(Instant::now() < deadline, "never stored: {click:?}");
        }
    }

    fn send_and_leave(&self, request: &str, fate: Fate) -> Fate {
        // If the daemon has ended by now, the click does not arrive, which the model allows.
        let _ = self.connect().write_all(request.as_bytes());
        fate
    }

    /// A connection to the daemon, as soon as there is one.
    fn connect(&self) -> UnixStream {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(!self.daemon.is_poisoned(), "the daemon is gone for good");
            match UnixStream::connect(self.site.path("socket")) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.set_write_timeout(Some(PATIENCE)).unwrap();
                    return stream;
                }
                Err(error) => assert!(Instant::now() < deadline, "no connection: {error}"),
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn happen(&self, event: Event, before: Before<'_>) -> Came {
        match event {
            Event::Kill { down_ms } => self.restart(Daemon::kill, down_ms),
            Event::Stop { down_ms } => {
                let stop = |daemon: Daemon| {
                    let (status, log) = daemon.stop();
                    assert!(status.success(), "{status}\n{log}");
                };
                self.restart(stop, down_ms)
            }
            Event::Report(question) => {
                let began = self.tick();
                let printed = self.report(&reports::arguments(&question, None));
                Came::Report(Look {
                    began,
                    ended: self.tick(),
                    question,
                    lines: reports::parse(&question, &printed),
                })
            }
            Event::Reset { backup, killed } => self.reset(backup, killed),
            // A reset that was killed may still be recovered.
            Event::Erase { .. } if before.may_reset => Came::Nothing,
            Event::Erase { erasure, kills_ms } => self.erase(&erasure, kills_ms, before.rows),
            Event::Import { edition } => Came::Import(self.import(edition, before.names)),
            Event::Lock { ms } => {
                let conn = self.site.connect();
                conn.execute_batch("BEGIN IMMEDIATE").unwrap();
                thread::sleep(Duration::from_millis(ms));
                conn.execute_batch("ROLLBACK").unwrap();
                Came::Nothing
            }
            Event::Reader { ms } => {
                let conn = self.site.connect();
                conn.execute_batch("BEGIN").unwrap();
                let rows = select_rows(&conn);
                thread::sleep(Duration::from_millis(ms));
                assert_eq!(select_rows(&conn), rows, "a reader's state changed");
                Came::Nothing
            }
            Event::Move { ms } => {
                let elsewhere = self.site.path("elsewhere.db");
                fs::rename(self.site.db_path(), &elsewhere).unwrap();
                thread::sleep(Duration::from_millis(ms));
                fs::rename(elsewhere, self.site.db_path()).unwrap();
                Came::Nothing
            }
        }
    }

    fn restart(&self, end: impl FnOnce(Daemon), down_ms: u64) -> Came {
        let mut daemon = self.daemon.lock().unwrap();
        end(daemon.take().expect("a daemon"));
        let daemon_gone = self.tick();
        thread::sleep(Duration::from_millis(down_ms));
        *daemon = Some(start_daemon(&self.site));
        Came::Restart { daemon_gone }
    }

    fn reset(&self, with_backup: bool, killed: Option<Killed>) -> Came {
        let began = self.tick();
        let began_at = Instant::now();
        let name = format!("backup-{began}.db");
        let mut arguments = vec!["reset", "--yes"];
        if with_backup {
            arguments.extend(["--backup", &name]);
        }
        let ran = match killed {
            None => self.run(&arguments),
            Some(killed) => self.run_and_kill(&arguments, killed),
        };
        let ended = self.tick();
        let outcome = match ran.status.code() {
            Some(0) => Wiped::Rows(deleted(&ran)),
            Some(1) if ran.stderr.contains("bytes of deleted rows may still be in") => {
                Wiped::Uncounted
            }
            Some(1) if ran.stderr.contains("database is locked") => Wiped::Nothing,
            _ if killed.is_some() => Wiped::Unknown,
            _ => panic!("{ran}"),
        };
        let has_given_up = matches!(outcome, Wiped::Uncounted | Wiped::Nothing);
        assert!(
            !has_given_up || began_at.elapsed() >= PATIENCE_OF_PROGRAMS,
            "it gave up too early: {ran}"
        );
        let path = self.site.path(&name);
        let backup = if path.exists() {
            Backup::Written(rows_of(&path))
        } else if with_backup {
            Backup::Missing
        } else {
            Backup::NotAsked
        };
        Came::Reset(Reset {
            began,
            ended,
            outcome,
            backup,
        })
    }

    /// Deletes some clicks, as often as it takes.
    fn erase(&self, erasure: &Erasure, kills_ms: [Option<u64>; 2], rows: &[Row]) -> Came {
        let Some((arguments, _)) = reports::erasure(erasure, rows) else {
            return Came::Nothing;
        };
        let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
        let began = self.tick();
        let mut killed = 0;
        for kill_ms in kills_ms.into_iter().flatten() {
            let ran = self.run_and_kill(&arguments, Killed::AfterMs(kill_ms));
            killed += usize::from(ran.status.code().is_none());
        }
        let deadline = Instant::now() + 2 * PATIENCE;
        loop {
            let ran = self.run(&arguments);
            if ran.status.success() {
                break;
            }
            // A reader may keep the WAL from being emptied.
            let is_due = ran.stderr.ends_with("run this again\n");
            assert!(is_due && Instant::now() < deadline, "{ran}");
        }
        let erased = Erased {
            began,
            ended: self.tick(),
            selected: Selected::of(erasure, rows),
        };
        Came::Erased(erased, killed)
    }

    /// Imports the names of an edition; returns the names that reports show from then on.
    fn import(&self, edition: usize, names: Names) -> Names {
        let file = format!("experts-{edition}.csv");
        self.site.write(&file, reports::export(edition));
        let ran = self.run(&["experts", "import", &file]);
        match (ran.status.code(), names) {
            (Some(0), Names::Imported { .. }) => Names::Imported { edition },
            (Some(1), Names::HostApp) if ran.stderr.contains("belongs to another program") => names,
            (Some(1), _) if ran.stderr.contains("database is locked") => names,
            _ => panic!("{ran}"),
        }
    }

    fn report(&self, arguments: &[String]) -> String {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let ran = self.run(&arguments);
        let is_quiet = ["leadclicks: no clicks ", "leadclicks: period: "]
            .iter()
            .any(|expected| ran.stderr.starts_with(expected));
        let is_quiet = is_quiet || ran.stderr.is_empty();
        assert!(ran.status.success() && is_quiet, "{ran}");
        ran.stdout
    }

    /// Runs `leadclicks` until it ends.
    fn run(&self, arguments: &[&str]) -> Ran {
        let script = "exec timeout --signal=KILL \"$0\" leadclicks \"$@\"";
        let mut command = self.site.shell(script);
        command.arg(PATIENCE.as_secs().to_string()).args(arguments);
        Ran::finish(command, b"")
    }

    /// Runs `leadclicks` and kills it, unless it ends before.
    fn run_and_kill(&self, arguments: &[&str], killed: Killed) -> Ran {
        let mut command = self.site.command(arguments);
        let mut child = command.spawn().expect("leadclicks");
        let begin = Instant::now();
        let is_time = || match killed {
            Killed::AfterMs(ms) => begin.elapsed() > Duration::from_millis(ms),
            Killed::WritingBackup => {
                let mut files = self.site.files().into_iter();
                files.any(|name| name.starts_with(".leadclicks-"))
            }
        };
        while child.try_wait().expect("wait").is_none() && !is_time() {
            assert!(begin.elapsed() < PATIENCE, "{command:?} does not end");
            thread::sleep(Duration::from_micros(100));
        }
        // It may have ended already.
        let _ = child.kill();
        let ran = Ran::wait(&command, child);
        // An unfinished backup stays in the directory and would be mistaken for the next one.
        for name in self.site.files() {
            if name.starts_with(".leadclicks-") {
                fs::remove_file(self.site.path(&name)).expect("a backup that was not finished");
            }
        }
        ran
    }
}

fn body_of(click: &Click, expert: &str) -> String {
    let mut fields = serde_json::json!({
        "email": click.email,
        "expert_username": expert,
        "search_query": click.query,
    });
    if let Some(id) = &click.id {
        fields["click_id"] = id.as_str().into();
    }
    fields.to_string()
}

/// The number of rows that a reset says it has deleted.
fn deleted(ran: &Ran) -> usize {
    let sentence = ran
        .stdout
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("deleted "));
    let number = sentence.and_then(|text| text.split(' ').next()?.replace(',', "").parse().ok());
    number.unwrap_or_else(|| panic!("{ran}"))
}

fn start_daemon(site: &Site) -> Daemon {
    // A fixed address that no other test's daemon can get.
    let listen = format!("unix:{}", site.path("socket").display());
    Daemon::start(site, &["--listen", &listen])
}

/// The content of a database, which must be intact.
fn rows_of(path: &Path) -> Vec<Row> {
    let conn = Connection::open(path).expect("the database");
    conn.busy_timeout(PATIENCE).unwrap();
    let check: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok", "{}", path.display());
    select_rows(&conn)
}

/// The clicks in the order of their ids.
fn select_rows(conn: &Connection) -> Vec<Row> {
    conn.prepare(
        "SELECT id, email, expert_username, search_query, created_at FROM lead_clicks ORDER BY id",
    )
    .unwrap()
    .query_map([], |row| {
        Ok(Row {
            id: row.get(0)?,
            email: row.get(1)?,
            expert: row.get(2)?,
            query: row.get(3)?,
            created_at: row.get(4)?,
        })
    })
    .unwrap()
    .map(Result::unwrap)
    .collect()
}
