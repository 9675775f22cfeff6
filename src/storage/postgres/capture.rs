//! The one task that inserts clicks.
//!
//! Group commit as in the SQLite engine: while one batch is committed, clicks queue, and together become the next one. Each
//! batch is one statement, which needs no prepared statement and no setting of a session. A second batch on its way at the same
//! time, over another connection, makes both smaller: 64 connections stored a tenth fewer clicks.
//!
//! The task has its own thread. In the thread that answers requests, a batch would be sent only after those that are ready, and
//! PostgreSQL would be idle meanwhile: 64 connections stored a sixth fewer clicks.

use std::{
    collections::HashSet,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinHandle},
    time::{self, Instant},
};
use tokio_postgres::{
    Client,
    error::{DbError, SqlState},
    types::{ToSql, Type},
};
use uuid::Uuid;

use super::{
    ServerUrl,
    connect::Session,
    new_runtime,
    rejection::{ID_CONSTRAINTS, IGNORED, SEQUENCE_BEHIND, Scope, reason},
    schema::{ClicksTable, IdType, check_durability, check_takes_clicks},
};
use crate::{
    click::Click,
    storage::{
        Cause, Checkpoint, ClickQueue, Error, NotStored, Writer, WriterCounts,
        queue::{Answer, Answers, Job, Outcome, Pending, QUEUE_CLICKS_MAX},
    },
    timestamp::Timestamp,
};

/// The most clicks in one statement: as many as can wait.
const BATCH_CLICKS_MAX: usize = QUEUE_CLICKS_MAX;

/// How long clicks wait for a connection, and then as long for the answer to each statement. A promotion of a standby usually
/// takes less. Then they are answered 503.
const OUTAGE_WAIT: Duration = Duration::from_secs(5);

/// How long they wait for a connection after that, until clicks are stored again: during an outage a quick 503 is better than a
/// slow one.
const LATER_WAIT: Duration = Duration::from_secs(1);

/// How long the questions about the table may take after connecting, which has its own limit for each host.
const QUESTIONS_MAX: Duration = Duration::from_secs(30);

/// The pause before the second attempt. It doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// How often the server is asked whether a commit is still durable.
const DURABILITY_CHECK: Duration = Duration::from_secs(1);

/// What becomes of the clicks while there is no connection, and while the server refuses them.
const DISCONNECTED: &str = "waiting up to 5 seconds for the server, then answering 503";
const REFUSED: &str = "answering 503 until they can";

/// A commit that waits for the disk and for the standbys, also for all commits before it. It writes a few bytes to the WAL,
/// which only logical decoding shows:
/// [PostgreSQL on it](https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION).
const TRIAL: &str = "SELECT pg_logical_emit_message(true, 'leadclicks', '')";

/// A server that takes clicks.
#[derive(Debug)]
pub(crate) struct CaptureServer {
    url: ServerUrl,
    session: CaptureSession,
    /// Runs the connection, and later the writer.
    runtime: RuntimeThread,
}

/// A runtime in its own thread. It ends when this is dropped.
#[derive(Debug)]
struct RuntimeThread {
    handle: Handle,
    #[expect(dead_code, reason = "dropping it ends the thread")]
    end: oneshot::Sender<()>,
}

impl RuntimeThread {
    async fn start() -> io::Result<Self> {
        let (end, ended) = oneshot::channel();
        let (started, handle) = oneshot::channel();
        let thread = thread::Builder::new().name("writer".to_owned());
        // The runtime is made in the thread, because it may not be dropped in a task.
        thread.spawn(move || match new_runtime() {
            Ok(runtime) => {
                let _ = started.send(Ok(runtime.handle().clone()));
                // The other end is only ever dropped.
                let _ = runtime.block_on(ended);
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        })?;
        let handle = handle.await.map_err(io::Error::other)??;
        Ok(Self { handle, end })
    }
}

/// One connection. It is closed when this is dropped.
#[derive(Debug)]
struct CaptureSession {
    client: Client,
    connection: AbortHandle,
    /// The number of the host in the URL.
    host: usize,
    /// Set when the server sends a warning.
    has_warned: Arc<AtomicBool>,
    table: ClicksTable,
    /// The names of the constraints and indexes that keep `id` unique.
    id_constraints: Vec<String>,
    /// When the server was last asked whether a commit is durable.
    durable_at: Instant,
}

impl Drop for CaptureSession {
    fn drop(&mut self) {
        // A connection that waits for an answer would not end by itself.
        self.connection.abort();
    }
}

impl CaptureSession {
    /// Connects to the primary, and checks that a commit is durable. The host with the number `first` is tried first.
    async fn connect(url: ServerUrl, first: usize) -> Result<Self, Cause> {
        let connected = url.connect(Session::ReadWrite, first).await?;
        let connection = tokio::spawn(connected.connection).abort_handle();
        let client = connected.client;
        let questions = async {
            check_durability(&client).await?;
            let table = ClicksTable::read(&client).await?;
            Ok((table, client.query_typed(ID_CONSTRAINTS, &[]).await?))
        };
        let answered = time::timeout(QUESTIONS_MAX, questions).await;
        let (table, id_constraints) = answered
            .unwrap_or_else(|_| Err(Cause::not_connected("no answer; check the server")))?;
        Ok(Self {
            client,
            connection,
            host: connected.host,
            has_warned: connected.has_warned,
            table,
            id_constraints: id_constraints
                .iter()
                .map(|row| row.try_get(0))
                .collect::<Result<_, _>>()?,
            durable_at: Instant::now(),
        })
    }
}

impl CaptureServer {
    /// Connects to the primary, and checks that clicks can be stored durably.
    ///
    /// # Errors
    /// If no server of the URL accepts the connection, if a 202 would not be durable, or if the `lead_clicks` table does not
    /// take clicks.
    pub(crate) async fn connect(url: &ServerUrl) -> Result<Self, Error> {
        let connect = async {
            let runtime = RuntimeThread::start()
                .await
                .map_err(Cause::OutOfResources)?;
            let connecting = CaptureSession::connect(url.clone(), 0);
            let connected = runtime.handle.spawn(connecting).await;
            let session = connected.unwrap_or_else(|_| Err(ended_early()))?;
            check_takes_clicks(&session.client, session.table).await?;
            Ok(Self {
                url: url.clone(),
                session,
                runtime,
            })
        };
        let connected: Result<Self, Cause> = connect.await;
        connected.map_err(|cause| Error::named(url.to_string(), cause))
    }

    /// The URL without a password.
    pub(crate) fn name(&self) -> String {
        self.url.to_string()
    }

    /// Starts the task that stores the clicks of the queue. `now` is the clock by which they arrive.
    ///
    /// # Panics
    /// Outside a Tokio runtime, because a task passes on the answers.
    pub(crate) fn start_writer(
        self,
        now: impl Fn() -> Timestamp + Clone + Send + Sync + 'static,
    ) -> (Writer, ClickQueue) {
        let (sender, receiver) = mpsc::channel(QUEUE_CLICKS_MAX);
        let (outcome, outcomes) = watch::channel(Outcome::default());
        let (end, ended) = oneshot::channel();
        let counts = Arc::new(WriterCounts::default());
        let task = WriterTask {
            url: self.url,
            next_host: self.session.host,
            session: Some(self.session),
            connecting: None,
            cancelling: None,
            is_refused: false,
            now: now.clone(),
            answers: Answers::start(),
            counts: Arc::clone(&counts),
            outcome,
            logged_rejections: HashSet::new(),
        };
        let runtime = self.runtime;
        runtime.handle.clone().spawn(async move {
            task.run(receiver).await;
            // The receiver may be gone.
            let _ = end.send(Ok(Checkpoint::Finished));
            // It is here so that its thread lives as long as the task.
            drop(runtime);
        });
        (
            Writer::new(counts, ended),
            ClickQueue::new(sender, outcomes, None, now),
        )
    }
}

struct WriterTask<Now> {
    url: ServerUrl,
    /// None while there is no connection.
    session: Option<CaptureSession>,
    /// The attempt to connect, which goes on while clicks that can't wait for it are answered.
    connecting: Option<JoinHandle<Result<CaptureSession, Cause>>>,
    /// The number of the host that is tried first for the next connection.
    next_host: usize,
    /// The latest request to end a statement that was not answered in time.
    cancelling: Option<JoinHandle<()>>,
    /// Whether the last statement with clicks failed as a whole, so that only one with a row shows whether the next would.
    is_refused: bool,
    now: Now,
    answers: Answers,
    counts: Arc<WriterCounts>,
    outcome: watch::Sender<Outcome>,
    /// The reasons that were logged for rejected clicks. Each is logged once, so that clients can't fill the log.
    logged_rejections: HashSet<String>,
}

/// Why no click of a statement is known to be stored.
#[derive(Debug)]
enum Failure {
    /// One of the clicks is the cause.
    Row(String),
    /// It may pass at once, and nothing was stored.
    Retry(String),
    /// The connection is of no more use. It is unknown whether the clicks were stored.
    Lost(String),
    /// It does not pass by itself.
    Lasting(String),
}

impl<Now: Fn() -> Timestamp> WriterTask<Now> {
    async fn run(mut self, mut receiver: mpsc::Receiver<Job>) {
        loop {
            let mut jobs = Vec::with_capacity(receiver.len());
            let taken = receiver.recv_many(&mut jobs, BATCH_CLICKS_MAX).await;
            if taken == 0 {
                break;
            }
            let (batch, has_trial) = Job::split(jobs);
            let answers = self.store(&batch).await;
            if !batch.is_empty() {
                self.answers.send(batch, answers).await;
            }
            // Unless the clicks have shown it already.
            if has_trial && !self.outcome.borrow().is_new() {
                self.try_out().await;
            }
        }
        if let Some(cancelling) = self.cancelling {
            // The runtime ends with this task.
            let _ = cancelling.await;
        }
    }

    /// Finds out whether a click could be stored, without storing one.
    async fn try_out(&mut self) {
        match self.insert_until_stored(&[], &[]).await {
            Ok(_) => self.note_success(),
            Err(failure) => self.note_failure(&failure),
        }
    }

    /// Stores a batch, and returns the answers to its clicks. If the server rejects the statement because of one click, the
    /// clicks are halved until it is alone, so that the others are stored.
    async fn store(&mut self, batch: &[Pending]) -> Vec<Answer> {
        // Made once, so that all attempts have the same.
        let ids: Vec<String> = batch
            .iter()
            .map(|pending| match &pending.id {
                Some(id) => id.as_str().to_owned(),
                None => Uuid::now_v7().to_string(),
            })
            .collect();
        let mut answers = vec![Err(NotStored::Unavailable); batch.len()];
        let mut ranges = Vec::new();
        if !batch.is_empty() {
            ranges.push(0..batch.len());
        }
        while let Some(range) = ranges.pop() {
            let clicks = &batch[range.clone()];
            match self.insert_until_stored(clicks, &ids[range.clone()]).await {
                Ok(ignored) => {
                    self.counts.add_commit();
                    self.note_success();
                    answers[range.clone()].fill(Ok(()));
                    for number in ignored {
                        answers[range.start + number] = self.reject(IGNORED);
                    }
                }
                Err(Failure::Row(reason)) if range.len() == 1 => {
                    answers[range.start] = self.reject(&reason);
                }
                Err(Failure::Row(_)) => {
                    let middle = range.start + range.len() / 2;
                    ranges.push(middle..range.end);
                    ranges.push(range.start..middle);
                }
                Err(failure) => {
                    self.note_failure(&failure);
                    break;
                }
            }
        }
        answers
    }

    /// Inserts clicks, and tries again what may pass. Returns the numbers of those that the table's trigger or rule ignored.
    async fn insert_until_stored(
        &mut self,
        clicks: &[Pending],
        ids: &[String],
    ) -> Result<Vec<usize>, Failure> {
        let wait = if self.outcome.borrow().is_failure {
            LATER_WAIT
        } else {
            OUTAGE_WAIT
        };
        let mut deadline = Instant::now() + wait;
        // However slow connecting is, a statement gets its own time.
        let last_deadline = deadline + OUTAGE_WAIT;
        let mut pause = PAUSE_MIN;
        let mut failure = Failure::Lost("no connection".to_owned());
        loop {
            if self.session.is_none() {
                match time::timeout_at(deadline, self.connect()).await {
                    Ok(Ok(())) => deadline = last_deadline.min(Instant::now() + OUTAGE_WAIT),
                    Ok(Err(reason)) => {
                        failure = Failure::Lost(reason);
                        self.note_failure(&failure);
                    }
                    Err(_) => return Err(failure),
                }
            }
            if self.session.is_some() {
                let inserted = time::timeout_at(deadline, self.insert(clicks, ids)).await;
                self.is_refused |= !matches!(inserted, Ok(Ok(_) | Err(Failure::Row(_))));
                failure = match inserted {
                    Ok(Ok(ignored)) => return Ok(ignored),
                    Ok(Err(failure @ (Failure::Retry(_) | Failure::Lost(_)))) => failure,
                    Ok(Err(failure)) => return Err(failure),
                    Err(_) => {
                        // Another host may be the primary by now: this one may still wait for a standby that has left it.
                        if let Some(session) = self.session.take() {
                            self.next_host = session.host + 1;
                            self.cancelling =
                                Some(self.url.cancel_in_background(&session.client, session.host));
                        }
                        return Err(Failure::Lost("no answer".to_owned()));
                    }
                };
                if matches!(failure, Failure::Lost(_))
                    && let Some(session) = self.session.take()
                    && session.table.click_id.is_none()
                {
                    // Without ids they could be stored twice.
                    return Err(failure);
                }
            }
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Waits for a connection. Returns why there is none.
    async fn connect(&mut self) -> Result<(), String> {
        let connecting = self.connecting.get_or_insert_with(|| {
            let (url, first) = (self.url.clone(), self.next_host);
            // Unless it succeeds.
            self.next_host = first + 1;
            tokio::spawn(CaptureSession::connect(url, first))
        });
        let connected = connecting.await;
        self.connecting = None;
        match connected {
            Ok(Ok(session)) => {
                self.next_host = session.host;
                self.session = Some(session);
                Ok(())
            }
            Ok(Err(cause)) => Err(logged(&cause)),
            Err(_) => Err(logged(&ended_early())),
        }
    }

    /// Inserts clicks in one transaction. Without clicks, it finds out whether some could be stored.
    async fn insert(&mut self, clicks: &[Pending], ids: &[String]) -> Result<Vec<usize>, Failure> {
        let Some(session) = &mut self.session else {
            return Err(Failure::Lost("no connection".to_owned()));
        };
        session.check_durability().await?;
        if clicks.is_empty() {
            if self.is_refused {
                session.insert_and_roll_back().await?;
            }
            session.commit_nothing().await?;
            return Ok(Vec::new());
        }
        session.insert(clicks, ids, (self.now)()).await
    }

    fn reject(&mut self, reason: &str) -> Answer {
        if self.logged_rejections.insert(reason.to_owned()) {
            tracing::warn!(
                reason,
                "the database rejected a click (422); repeats are not logged"
            );
        }
        Err(NotStored::Refused)
    }

    /// Logs one line when storing begins to fail, so that an outage does not fill the log.
    fn note_failure(&mut self, failure: &Failure) {
        let (reason, consequence) = match failure {
            Failure::Lost(reason) => (reason, DISCONNECTED),
            Failure::Row(reason) | Failure::Retry(reason) | Failure::Lasting(reason) => {
                (reason, REFUSED)
            }
        };
        if !self.outcome.borrow().is_failure {
            tracing::error!(reason, "clicks can't be stored, {consequence}");
        }
        if matches!(failure, Failure::Lasting(_)) {
            // The table may have been changed.
            self.session = None;
        }
        self.note_outcome(true);
    }

    fn note_success(&mut self) {
        if self.outcome.borrow().is_failure {
            tracing::info!("clicks are stored again");
        }
        self.is_refused = false;
        self.note_outcome(false);
    }

    /// After the log, so that the log has it when somebody is answered by it.
    fn note_outcome(&mut self, is_failure: bool) {
        self.outcome.send_replace(Outcome {
            is_failure,
            at: Some(std::time::Instant::now()),
        });
    }
}

impl CaptureSession {
    /// Inserts clicks in one transaction. Returns the numbers of those that the table's trigger or rule ignored.
    async fn insert(
        &self,
        clicks: &[Pending],
        ids: &[String],
        now: Timestamp,
    ) -> Result<Vec<usize>, Failure> {
        self.has_warned.store(false, Ordering::Relaxed);
        let inserted = match self.table.click_id {
            Some(_) => self.insert_with_ids(clicks, ids, now).await?,
            None => self.insert_without_ids(clicks, now).await?,
        };
        let ignored = match self.table.click_id {
            Some(id_type) if inserted < clicks.len() as u64 => {
                self.find_missing(ids, id_type).await?
            }
            _ => Vec::new(),
        };
        // A click that another attempt has stored may not be on the standbys yet, and somebody may have cancelled the wait.
        if inserted < clicks.len() as u64 || self.has_warned.load(Ordering::Relaxed) {
            let confirmed = self.commit_nothing().await;
            confirmed.map_err(|failure| match self.table.click_id {
                Some(_) => failure,
                // They are stored, and another attempt would store them again.
                None => Failure::Lost("the commit was not confirmed".to_owned()),
            })?;
        }
        Ok(ignored)
    }

    async fn insert_with_ids(
        &self,
        clicks: &[Pending],
        ids: &[String],
        now: Timestamp,
    ) -> Result<u64, Failure> {
        let rows = Rows::of(clicks, now);
        let mut parameters = rows.parameters().to_vec();
        parameters.push((&ids, Type::TEXT_ARRAY));
        let statement = self.table.insert();
        self.run(self.client.execute_typed(&statement, &parameters))
            .await
    }

    /// Fails if one is ignored, because nothing tells which one: then each is stored alone.
    async fn insert_without_ids(&self, clicks: &[Pending], now: Timestamp) -> Result<u64, Failure> {
        let rows = Rows::of(clicks, now);
        self.run(self.client.batch_execute("BEGIN")).await?;
        let statement = self.table.insert();
        let inserted = self
            .run(self.client.execute_typed(&statement, &rows.parameters()))
            .await;
        let failure = match inserted {
            Ok(inserted) if inserted == clicks.len() as u64 => {
                self.run(self.client.batch_execute("COMMIT")).await?;
                return Ok(inserted);
            }
            Ok(_) => Failure::Row(IGNORED.to_owned()),
            Err(failure) => failure,
        };
        self.run(self.client.batch_execute("ROLLBACK")).await?;
        Err(failure)
    }

    /// The numbers of the ids that are not stored.
    async fn find_missing(&self, ids: &[String], id_type: IdType) -> Result<Vec<usize>, Failure> {
        let sql = format!(
            "SELECT click_id::text FROM lead_clicks WHERE click_id = ANY($1::text[]::{})",
            id_type.array()
        );
        let rows = self
            .run(self.client.query_typed(&sql, &[(&ids, Type::TEXT_ARRAY)]))
            .await?;
        let stored: HashSet<&str> = rows.iter().filter_map(|row| row.try_get(0).ok()).collect();
        let is_missing = |number: &usize| !stored.contains(&*ids[*number]);
        Ok((0..ids.len()).filter(is_missing).collect())
    }

    /// Waits until all commits before are as durable as a commit now.
    async fn commit_nothing(&self) -> Result<(), Failure> {
        self.has_warned.store(false, Ordering::Relaxed);
        self.run(self.client.query_typed(TRIAL, &[])).await?;
        if self.has_warned.load(Ordering::Relaxed) {
            return Err(Failure::Retry(
                "the server did not wait for its standby".to_owned(),
            ));
        }
        Ok(())
    }

    /// Finds out whether the table takes a row, which is rolled back.
    async fn insert_and_roll_back(&self) -> Result<(), Failure> {
        let rows = Rows {
            emails: vec!["trial@example.com"],
            experts: vec!["trial"],
            searches: vec![""],
            ages: vec![0],
        };
        let ids = [Uuid::now_v7().to_string()];
        let ids = &ids[..];
        let mut parameters = rows.parameters().to_vec();
        if self.table.click_id.is_some() {
            parameters.push((&ids, Type::TEXT_ARRAY));
        }
        self.run(self.client.batch_execute("BEGIN")).await?;
        let statement = self.table.insert();
        let inserted = self
            .run(self.client.execute_typed(&statement, &parameters))
            .await;
        self.run(self.client.batch_execute("ROLLBACK")).await?;
        match inserted {
            // Only this row is rejected.
            Ok(_) | Err(Failure::Row(_)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// Checks from time to time that commits are still durable: the setting may be changed while the server runs.
    async fn check_durability(&mut self) -> Result<(), Failure> {
        if self.durable_at.elapsed() < DURABILITY_CHECK {
            return Ok(());
        }
        match check_durability(&self.client).await {
            Ok(()) => self.durable_at = Instant::now(),
            Err(cause @ (Cause::NotDurable { .. } | Cause::WarningsHidden | Cause::NotLogged)) => {
                return Err(Failure::Lasting(cause.to_string()));
            }
            // The statement that follows shows what it is.
            Err(_) => {}
        }
        Ok(())
    }

    async fn run<T>(
        &self,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        statement.await.map_err(|error| match error.as_db_error() {
            Some(error) => self.failure(error),
            None => Failure::Lost("the connection is lost".to_owned()),
        })
    }

    fn failure(&self, error: &DbError) -> Failure {
        let reason = reason(error);
        let is_of_id = error
            .constraint()
            .is_some_and(|name| self.id_constraints.iter().any(|id| id == name));
        if *error.code() == SqlState::UNIQUE_VIOLATION && is_of_id {
            return Failure::Lasting(format!("{reason}: {SEQUENCE_BEHIND}"));
        }
        match Scope::of(error.code()) {
            Scope::Row => Failure::Row(reason),
            Scope::Moment => Failure::Retry(reason),
            Scope::Connection => Failure::Lost(reason),
            Scope::Database => Failure::Lasting(reason),
        }
    }
}

/// The columns of clicks, as the parameters of the statement that inserts them.
struct Rows<'a> {
    emails: Vec<&'a str>,
    experts: Vec<&'a str>,
    searches: Vec<&'a str>,
    /// How long ago they happened, in microseconds: the server's clock dates them.
    ages: Vec<i64>,
}

impl<'a> Rows<'a> {
    fn of(clicks: &'a [Pending], now: Timestamp) -> Self {
        let texts = |text: fn(&Click) -> &str| -> Vec<&str> {
            clicks.iter().map(|pending| text(&pending.click)).collect()
        };
        Self {
            emails: texts(Click::email),
            experts: texts(Click::expert_username),
            searches: texts(Click::search_query),
            ages: clicks
                .iter()
                .map(|pending| (now.micros() - pending.created_at.micros()).max(0))
                .collect(),
        }
    }

    fn parameters(&self) -> [(&(dyn ToSql + Sync), Type); 4] {
        [
            (&self.emails, Type::TEXT_ARRAY),
            (&self.experts, Type::TEXT_ARRAY),
            (&self.searches, Type::TEXT_ARRAY),
            (&self.ages, Type::INT8_ARRAY),
        ]
    }
}

/// What a panic of the task that connects looks like.
fn ended_early() -> Cause {
    Cause::not_connected("connecting ended early; please report this as a bug")
}

/// The reason for the log, which has no message of the server.
fn logged(cause: &Cause) -> String {
    match cause {
        Cause::NotConnected { logged, .. } => logged.clone(),
        Cause::Postgres(error) => match error.as_db_error() {
            Some(error) => reason(error),
            None => "the connection is lost".to_owned(),
        },
        Cause::NoRight(_) => {
            "SQLSTATE 42501; grant the right as docs/postgresql.md shows".to_owned()
        }
        other => other.to_string(),
    }
}
