//! The one task that inserts clicks.
//!
//! Group commit as in the SQLite engine: while one batch is committed, clicks queue, and together become the next one. Each
//! batch is one statement, which needs no prepared statement and no setting of a session.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
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
    schema::{ClicksTable, IdType, check_takes_clicks},
};
use crate::{
    storage::{
        Cause, Checkpoint, ClickQueue, Error, NotStored, Pace, Writer, WriterCounts,
        queue::{Answer, Job, Outcome, Pending, QUEUE_CLICKS_MAX},
    },
    timestamp::Timestamp,
};

/// The most clicks in one statement: as many as can wait.
const BATCH_CLICKS_MAX: usize = QUEUE_CLICKS_MAX;

/// How long a batch is tried again, with the same ids, while the server does not answer or refuses it for a passing reason. A
/// promotion of a standby usually takes less. Then its clicks are answered 503.
const OUTAGE_WAIT: Duration = Duration::from_secs(5);

/// The same for the batches after that, until one is stored: during an outage a quick 503 is better than a slow one.
const LATER_WAIT: Duration = Duration::from_secs(1);

/// The pause before the second attempt. It doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// What becomes of the clicks while there is no connection, and while the server refuses them.
const DISCONNECTED: &str = "waiting up to 5 seconds for the server, then answering 503";
const REFUSED: &str = "answering 503 until they can";

/// The next step if the table has the next id of its sequence already.
pub(super) const SEQUENCE_BEHIND: &str = "the sequence of lead_clicks.id is behind its rows; run SELECT \
    setval(pg_get_serial_sequence('lead_clicks', 'id'), max(id)) FROM lead_clicks";

/// Writes a few bytes to the server's log of changes, which no other program reads:
/// [PostgreSQL on it](https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION).
const TRIAL: &str = "SELECT pg_logical_emit_message(true, 'leadclicks', '')";

/// Why a click was not stored although the server reported success.
const IGNORED: &str = "ignored by a trigger or rule";

/// A server that takes clicks.
#[derive(Debug)]
pub(crate) struct CaptureServer {
    url: ServerUrl,
    session: CaptureSession,
}

/// One connection. It is closed when this is dropped.
#[derive(Debug)]
struct CaptureSession {
    client: Client,
    connection: AbortHandle,
    /// The number of the host in the URL.
    host: usize,
    table: ClicksTable,
    /// The names of the constraints and indexes that keep `id` unique.
    id_constraints: Vec<String>,
}

impl Drop for CaptureSession {
    fn drop(&mut self) {
        // A connection that waits for an answer would not end by itself.
        self.connection.abort();
    }
}

impl CaptureSession {
    /// Connects to the primary, and checks that a commit is durable. The host with the number `first` is tried first.
    async fn connect(url: &ServerUrl, first: usize) -> Result<Self, Cause> {
        let connected = url.connect(Session::ReadWrite, first).await?;
        let connection = tokio::spawn(connected.connection).abort_handle();
        let client = connected.client;
        check_durability(&client).await?;
        let table = ClicksTable::read(&client).await?;
        let id_constraints = id_constraints(&client).await?;
        Ok(Self {
            client,
            connection,
            host: connected.host,
            table,
            id_constraints,
        })
    }
}

async fn id_constraints(client: &Client) -> Result<Vec<String>, Cause> {
    let rows = client
        .query_typed(
            "SELECT index.relname::text FROM pg_index
             JOIN pg_class AS index ON index.oid = indexrelid
             JOIN pg_attribute ON attrelid = indrelid AND attname = 'id'
             WHERE indrelid = to_regclass('lead_clicks') AND indisunique AND indkey::text = attnum::text",
            &[],
        )
        .await?;
    rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Checks that the server answers a commit only when it is on its disk.
async fn check_durability(client: &Client) -> Result<(), Cause> {
    for setting in ["fsync", "synchronous_commit"] {
        let value: String = client
            .query_typed_one(&format!("SHOW {setting}"), &[])
            .await?
            .try_get(0)?;
        if value == "off" {
            return Err(Cause::NotDurable { setting });
        }
    }
    Ok(())
}

impl CaptureServer {
    /// Connects to the primary, and checks that clicks can be stored durably.
    ///
    /// # Errors
    /// If no server of the URL accepts the connection, if a 202 would not be durable, or if the `lead_clicks` table does not
    /// take clicks.
    pub(crate) async fn connect(url: &ServerUrl) -> Result<Self, Error> {
        let connect = async {
            let session = CaptureSession::connect(url, 0).await?;
            check_takes_clicks(&session.client).await?;
            Ok(session)
        };
        match connect.await {
            Ok(session) => Ok(Self {
                url: url.clone(),
                session,
            }),
            Err(cause) => Err(Error::named(url.to_string(), cause)),
        }
    }

    /// The URL without a password.
    pub(crate) fn name(&self) -> String {
        self.url.to_string()
    }

    /// Starts the task that stores the clicks of the queue. `now` is the clock by which they arrive.
    pub(crate) fn start_writer(
        self,
        pace: Arc<Pace>,
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
            now: now.clone(),
            pace: Arc::clone(&pace),
            counts: Arc::clone(&counts),
            outcome,
            logged_rejections: HashSet::new(),
        };
        tokio::spawn(async move {
            task.run(receiver).await;
            // The receiver may be gone.
            let _ = end.send(Ok(Checkpoint::Finished));
        });
        (
            Writer::new(counts, ended),
            ClickQueue::new(sender, outcomes, pace, now),
        )
    }
}

struct WriterTask<Now> {
    url: ServerUrl,
    /// None while there is no connection.
    session: Option<CaptureSession>,
    /// The number of the host that is tried first for the next connection.
    next_host: usize,
    now: Now,
    pace: Arc<Pace>,
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
            self.pace.remove_clicks(taken);
            let clicks = |job| match job {
                Job::Click(pending) => Some(pending),
                Job::Trial => None,
            };
            let batch: Vec<Pending> = jobs.into_iter().filter_map(clicks).collect();
            let has_trial = batch.len() < taken;
            let answers = self.store(&batch).await;
            for (pending, answer) in batch.into_iter().zip(answers) {
                // The client may have disconnected.
                let _ = pending.answer.send(answer);
            }
            // Unless the clicks have shown it already.
            if has_trial && !self.outcome.borrow().is_new() {
                self.try_out().await;
            }
        }
    }

    /// Finds out whether a commit succeeds and is confirmed, without storing a click.
    async fn try_out(&mut self) {
        let done = self
            .insert_until(Instant::now() + LATER_WAIT, &[], &[])
            .await;
        match done {
            Ok(_) => self.note_success(),
            Err(Failure::Lost(reason)) => self.note_failure(&reason, DISCONNECTED),
            Err(Failure::Row(reason) | Failure::Retry(reason) | Failure::Lasting(reason)) => {
                self.note_failure(&reason, REFUSED);
            }
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
        let wait = if self.outcome.borrow().is_failure {
            LATER_WAIT
        } else {
            OUTAGE_WAIT
        };
        let deadline = Instant::now() + wait;
        let mut ranges = Vec::new();
        if !batch.is_empty() {
            ranges.push(0..batch.len());
        }
        while let Some(range) = ranges.pop() {
            let clicks = &batch[range.clone()];
            match self
                .insert_until(deadline, clicks, &ids[range.clone()])
                .await
            {
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
                Err(Failure::Lost(reason)) => {
                    self.note_failure(&reason, DISCONNECTED);
                    break;
                }
                Err(Failure::Retry(reason) | Failure::Lasting(reason)) => {
                    self.note_failure(&reason, REFUSED);
                    break;
                }
            }
        }
        answers
    }

    /// Inserts clicks, and tries again until the deadline what may pass. Returns the numbers of those that the table's trigger
    /// or rule ignored.
    async fn insert_until(
        &mut self,
        deadline: Instant,
        clicks: &[Pending],
        ids: &[String],
    ) -> Result<Vec<usize>, Failure> {
        let mut pause = PAUSE_MIN;
        loop {
            let Ok(inserted) = time::timeout_at(deadline, self.insert(clicks, ids)).await else {
                // Another host may be the primary by now: this one may still wait for a standby that has left it.
                if let Some(session) = self.session.take() {
                    self.next_host = session.host + 1;
                }
                return Err(Failure::Lost("no answer".to_owned()));
            };
            let failure = match inserted {
                Err(failure @ (Failure::Retry(_) | Failure::Lost(_))) => failure,
                inserted => return inserted,
            };
            if let Failure::Lost(reason) = &failure {
                let session = self.session.take();
                // Without ids they could be stored twice.
                if session.is_some_and(|session| session.table.click_id.is_none()) {
                    return Err(failure);
                }
                self.note_failure(reason, DISCONNECTED);
            }
            if Instant::now() + pause >= deadline {
                return Err(failure);
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Inserts clicks in one transaction, after connecting if necessary.
    async fn insert(&mut self, clicks: &[Pending], ids: &[String]) -> Result<Vec<usize>, Failure> {
        if self.session.is_none() {
            let first = self.next_host;
            // If this does not return, the next attempt begins with another host.
            self.next_host = first + 1;
            let session = CaptureSession::connect(&self.url, first)
                .await
                .map_err(|cause| Failure::Lost(cause.to_string()))?;
            self.next_host = session.host;
            self.session = Some(session);
        }
        match &self.session {
            Some(session) => session.insert(clicks, ids, (self.now)()).await,
            None => Err(Failure::Lost("not connected".to_owned())),
        }
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
    fn note_failure(&mut self, reason: &str, consequence: &str) {
        if !self.outcome.borrow().is_failure {
            tracing::error!(reason, "clicks can't be stored, {consequence}");
        }
        self.note_outcome(true);
    }

    fn note_success(&mut self) {
        if self.outcome.borrow().is_failure {
            tracing::info!("clicks are stored again");
        }
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
    /// Inserts clicks in one transaction. Returns the numbers of those that the table's trigger or rule ignored. Without clicks,
    /// it commits something else that has to be on the server's disk.
    async fn insert(
        &self,
        clicks: &[Pending],
        ids: &[String],
        now: Timestamp,
    ) -> Result<Vec<usize>, Failure> {
        if clicks.is_empty() {
            self.run(self.client.query_typed(TRIAL, &[])).await?;
            return Ok(Vec::new());
        }
        let emails: Vec<&str> = clicks.iter().map(|pending| pending.click.email()).collect();
        let experts: Vec<&str> = clicks
            .iter()
            .map(|pending| pending.click.expert_username())
            .collect();
        let searches: Vec<&str> = clicks
            .iter()
            .map(|pending| pending.click.search_query())
            .collect();
        // The server's clock dates the clicks; this one only knows how long ago they happened.
        let ages: Vec<i64> = clicks
            .iter()
            .map(|pending| (now.micros() - pending.created_at.micros()).max(0))
            .collect();
        let parameters: [(&(dyn ToSql + Sync), Type); 5] = [
            (&emails, Type::TEXT_ARRAY),
            (&experts, Type::TEXT_ARRAY),
            (&searches, Type::TEXT_ARRAY),
            (&ages, Type::INT8_ARRAY),
            (&ids, Type::TEXT_ARRAY),
        ];
        let statement = self.table.insert();
        if let Some(id_type) = self.table.click_id {
            let inserted = self
                .run(self.client.execute_typed(&statement, &parameters))
                .await?;
            if inserted == clicks.len() as u64 {
                return Ok(Vec::new());
            }
            return self.find_missing(ids, id_type).await;
        }
        // Nothing tells which one a trigger ignored, so then each is stored alone.
        self.run(self.client.batch_execute("BEGIN")).await?;
        let inserted = self
            .run(self.client.execute_typed(&statement, &parameters[..4]))
            .await;
        let failure = match inserted {
            Ok(rows) if rows == clicks.len() as u64 => {
                let committed = self.run(self.client.batch_execute("COMMIT")).await;
                return committed.map(|()| Vec::new());
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

    async fn run<T>(
        &self,
        statement: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, Failure> {
        statement.await.map_err(|error| match error.as_db_error() {
            Some(error) => self.failure(error),
            None => Failure::Lost("the connection is lost".to_owned()),
        })
    }

    /// What an error of the server means for the clicks:
    /// [PostgreSQL's error codes](https://www.postgresql.org/docs/current/errcodes-appendix.html).
    fn failure(&self, error: &DbError) -> Failure {
        let code = error.code();
        let constraint = error.constraint();
        // Neither the message nor the detail, which contain data of the row.
        let mut reason = format!("SQLSTATE {}", code.code());
        if let Some(constraint) = constraint {
            reason = format!("{reason}, constraint {constraint}");
        }
        let is_of_id =
            constraint.is_some_and(|name| self.id_constraints.iter().any(|id| id == name));
        match code.code().get(..2) {
            _ if *code == SqlState::UNIQUE_VIOLATION && is_of_id => {
                Failure::Lasting(format!("{reason}: {SEQUENCE_BEHIND}"))
            }
            _ if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Failure::Lost(reason),
            _ if *code == SqlState::QUERY_CANCELED => Failure::Retry(reason),
            // The server ends, or the connection.
            Some("08" | "57") => Failure::Lost(reason),
            // A conflict with another transaction.
            Some("40" | "55") => Failure::Retry(reason),
            // Values, constraints, checks of views, functions of triggers, and rows that are too large.
            Some("22" | "23" | "38" | "44" | "54" | "P0") => Failure::Row(reason),
            _ => Failure::Lasting(reason),
        }
    }
}
