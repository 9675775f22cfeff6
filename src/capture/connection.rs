//! A connection that gives up on a client which takes too long.
//!
//! hyper has one time limit for reading a head, and it runs while a connection is idle as well. A head must come
//! fast and an idle connection may stay long, so hyper's limit is the idle one, and the head's is kept here.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
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
    phase_seen: u32,
    head: Option<Pin<Box<Sleep>>>,
    write: Option<Pin<Box<Sleep>>>,
}

impl<S> TimedStream<S> {
    pub(super) fn new(inner: S, phase: Phase) -> Self {
        Self {
            inner,
            phase,
            phase_seen: 0,
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

/// Where a connection stands, told by the service that answers its requests: an even number between requests,
/// an odd one from the end of a request's head to its answer.
#[derive(Clone, Default)]
pub(super) struct Phase(Arc<AtomicU32>);

impl Phase {
    /// A request's head is complete; its answer is when the guard is dropped.
    pub(super) fn begin_request(&self) -> InRequest {
        self.0.fetch_add(1, Ordering::Relaxed);
        InRequest(self.clone())
    }

    fn number(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request is being answered until this is dropped.
pub(super) struct InRequest(Phase);

impl Drop for InRequest {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let phase = this.phase.number();
        if phase != this.phase_seen {
            this.phase_seen = phase;
            this.head = None;
        }
        if phase % 2 == 1 {
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
