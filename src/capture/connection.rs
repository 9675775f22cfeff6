//! A connection that gives up on a client which takes too long.
//!
//! hyper has one time limit for reading a head, and it runs while a connection is idle as well. A head must come
//! fast and an idle connection may stay long, so hyper's limit is the idle one, and the head's is kept here.

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

use super::{HEADER_TIMEOUT, WRITE_TIMEOUT};

/// A stream whose reads fail [`HEADER_TIMEOUT`] after a request's first byte, unless its head is complete by
/// then, and whose writes fail when the client takes nothing for [`WRITE_TIMEOUT`].
pub(super) struct TimedStream<S> {
    inner: S,
    phase: Phase,
    requests_seen: u64,
    head: Option<Pin<Box<Sleep>>>,
    write: Option<Pin<Box<Sleep>>>,
}

impl<S> TimedStream<S> {
    pub(super) fn new(inner: S, phase: Phase) -> Self {
        Self {
            inner,
            phase,
            requests_seen: 0,
            head: None,
            write: None,
        }
    }

    /// Passes on what a write came to, with a time limit while it can't go on.
    fn limit_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write = None;
            return written;
        }
        let limit = self
            .write
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + WRITE_TIMEOUT)));
        ready!(limit.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Where a connection stands, told by the service that answers its requests.
#[derive(Clone)]
pub(super) struct Phase(Arc<Mutex<State>>);

#[derive(Clone, Copy)]
struct State {
    stage: Stage,
    /// How many heads were complete.
    requests: u64,
    opened: Instant,
    /// When the latest click was there; none if there was none.
    click_at: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Between requests: a head is awaited, or not complete.
    Head,
    /// A head is complete, and its body awaited.
    Body,
    /// The client has sent what it had to, and awaits its answer.
    Answer,
}

/// How much a connection that waits for its client deserves to be kept; the least comes first. One that has posted
/// clicks is kept before all others, and among them the one that posted last; of the others, the one that was opened
/// last. What was refused by its head alone is no merit: a client over its rate may go on sending such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Merit {
    Opened(Instant),
    PostedClick(Instant),
}

impl Phase {
    /// A connection that was just opened.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            stage: Stage::Head,
            requests: 0,
            opened: Instant::now(),
            click_at: None,
        })))
    }

    /// A request's head is complete; its answer is when the guard is dropped.
    pub(super) fn begin_request(&self) -> InRequest {
        let mut state = self.state();
        state.requests += 1;
        state.stage = Stage::Body;
        drop(state);
        InRequest(self.clone())
    }

    /// None while the client awaits its answer.
    pub(super) fn merit(&self) -> Option<Merit> {
        let state = *self.state();
        (state.stage != Stage::Answer).then(|| {
            state
                .click_at
                .map_or(Merit::Opened(state.opened), Merit::PostedClick)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request is being answered until this is dropped.
pub(super) struct InRequest(Phase);

impl InRequest {
    /// A click is there, and its client awaits the answer.
    pub(super) fn await_answer(&self) {
        let mut state = self.0.state();
        state.stage = Stage::Answer;
        state.click_at = Some(Instant::now());
    }
}

impl Drop for InRequest {
    fn drop(&mut self) {
        self.0.state().stage = Stage::Head;
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let State {
            stage, requests, ..
        } = *this.phase.state();
        if requests != this.requests_seen {
            this.requests_seen = requests;
            this.head = None;
        }
        if stage != Stage::Head {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        if let Poll::Ready(read) = Pin::new(&mut this.inner).poll_read(cx, buf) {
            if this.head.is_none() {
                this.head = Some(Box::pin(sleep_until(Instant::now() + HEADER_TIMEOUT)));
            }
            return Poll::Ready(read);
        }
        if let Some(head) = &mut this.head {
            ready!(head.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedStream<S> {
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

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.limit_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
