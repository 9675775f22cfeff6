//! A connection with time limits for slow clients.
//!
//! hyper has one time limit for reading a head, which also runs while a connection is idle. A head must arrive fast, but an
//! idle connection may stay open long. So hyper enforces the idle limit, and this module enforces the one for heads.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{HEADER_TIMEOUT, WRITE_TIMEOUT, listen::Stream};

/// A stream with two time limits: reads fail if a request's head is not complete [`HEADER_TIMEOUT`] after its first byte,
/// and writes fail if the client reads nothing for [`WRITE_TIMEOUT`].
pub(super) struct TimedStream {
    inner: Box<dyn Stream>,
    phase: Phase,
    requests_seen: u64,
    head_timeout: Option<Pin<Box<Sleep>>>,
    write_timeout: Option<Pin<Box<Sleep>>>,
}

impl TimedStream {
    pub(super) fn new(inner: Box<dyn Stream>, phase: Phase) -> Self {
        Self {
            inner,
            phase,
            requests_seen: 0,
            head_timeout: None,
            write_timeout: None,
        }
    }

    /// Returns the result of a write, or an error if it has been pending for too long.
    fn limit_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timeout = None;
            return written;
        }
        let timeout = self
            .write_timeout
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + WRITE_TIMEOUT)));
        ready!(timeout.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// The state of a connection, updated by the service that answers its requests.
#[derive(Clone)]
pub(super) struct Phase(Arc<Mutex<State>>);

#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) stage: Stage,
    /// The number of complete heads so far.
    requests: u64,
    pub(super) has_posted_click: bool,
    /// When the latest click was received, or else the connection opened. Requests refused by their head alone do not
    /// count, because a client over its rate limit could go on sending them.
    pub(super) active_at: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waiting for a head, or for the rest of it.
    Head,
    /// The head is complete; waiting for the body.
    Body,
    /// The request is complete; the client waits for the answer.
    Answer,
}

impl Phase {
    /// For a connection that was just opened.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            stage: Stage::Head,
            requests: 0,
            has_posted_click: false,
            active_at: Instant::now(),
        })))
    }

    /// Call this when a request's head is complete. Drop the guard when it is answered.
    pub(super) fn begin_request(&self) -> InRequest {
        let mut state = self.state();
        state.requests += 1;
        state.stage = Stage::Body;
        drop(state);
        InRequest(self.clone())
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request is being answered until this is dropped.
pub(super) struct InRequest(Phase);

impl InRequest {
    /// Call this when the body holds a valid click.
    pub(super) fn click_received(&self) {
        let mut state = self.0.state();
        state.stage = Stage::Answer;
        state.has_posted_click = true;
        state.active_at = Instant::now();
    }
}

impl Drop for InRequest {
    fn drop(&mut self) {
        self.0.state().stage = Stage::Head;
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let state = *this.phase.state();
        if state.requests != this.requests_seen {
            this.requests_seen = state.requests;
            this.head_timeout = None;
        }
        if state.stage != Stage::Head {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        if let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(cx, buf) {
            if this.head_timeout.is_none() {
                this.head_timeout = Some(Box::pin(sleep_until(Instant::now() + HEADER_TIMEOUT)));
            }
            return Poll::Ready(read);
        }
        if let Some(timeout) = &mut this.head_timeout {
            ready!(timeout.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.limit_write(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.limit_write(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
