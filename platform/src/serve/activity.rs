//! What goes on on a connection: whether it has ever spoken, and which calls run on it.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::config::Limits;

/// Bytes of the HTTP/2 preface (RFC 9113 section 3.4): who has sent less has said nothing yet.
const PREFACE: usize = 24;
/// How often a busy connection is looked at.
const BUSY: Duration = Duration::from_secs(1);

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    opened: Instant,
    heard: AtomicUsize,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    next: u64,
    /// The running calls, each with the time after which its connection is given up.
    running: BTreeMap<u64, Option<Instant>>,
    last_end: Option<Instant>,
}

impl Activity {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            heard: AtomicUsize::new(0),
            calls: Mutex::default(),
        })
    }

    /// A call that runs until the guard is dropped. Nobody has to wait longer than `overdue`
    /// for a client that does not take its answer.
    pub(super) fn begin(self: &Arc<Self>, overdue: Option<Duration>) -> Running {
        let mut calls = self.calls();
        let id = calls.next;
        calls.next += 1;
        calls
            .running
            .insert(id, overdue.map(|limit| Instant::now() + limit));
        Running {
            activity: self.clone(),
            id,
        }
    }

    /// Whether a call has been running for longer than any may.
    pub(super) fn has_overdue_call(&self) -> bool {
        let now = Instant::now();
        self.calls()
            .running
            .values()
            .flatten()
            .any(|overdue| *overdue <= now)
    }

    /// Whether the connection has been without a call for longer than it may.
    pub(super) fn is_idle(&self, limits: &Limits) -> bool {
        let calls = self.calls();
        calls.running.is_empty()
            && self
                .expires(&calls, limits)
                .is_some_and(|at| at <= Instant::now())
    }

    /// When to look again.
    pub(super) fn next_look(&self, limits: &Limits) -> Instant {
        let calls = self.calls();
        let soon = Instant::now() + BUSY;
        match self.expires(&calls, limits) {
            // One that has just begun to speak may still be waiting for its first limit.
            Some(at) if calls.running.is_empty() => at,
            _ => soon,
        }
    }

    /// When an idle connection is closed, if it stays so.
    fn expires(&self, calls: &Calls, limits: &Limits) -> Option<Instant> {
        let silent = self.heard.load(Ordering::Relaxed) < PREFACE;
        let (since, limit) = match calls.last_end {
            Some(end) => (end, limits.idle_timeout),
            None if silent => (self.opened, limits.first_byte_timeout),
            None => (self.opened, limits.idle_timeout),
        };
        limit.map(|limit| since + limit)
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that keeps its connection from being idle.
#[derive(Debug)]
pub(super) struct Running {
    activity: Arc<Activity>,
    id: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut calls = self.activity.calls();
        calls.running.remove(&self.id);
        calls.last_end = Some(Instant::now());
    }
}

pin_project_lite::pin_project! {
    /// A stream that notes how much the other end has said.
    pub(super) struct Watched<IO> {
        #[pin]
        inner: IO,
        activity: Arc<Activity>,
    }
}

impl<IO> Watched<IO> {
    pub(super) fn new(inner: IO, activity: &Arc<Activity>) -> Self {
        Self {
            inner,
            activity: activity.clone(),
        }
    }
}

impl<IO: AsyncRead> AsyncRead for Watched<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        let polled = this.inner.poll_read(context, buffer);
        if this.activity.heard.load(Ordering::Relaxed) < PREFACE {
            let read = buffer.filled().len() - before;
            this.activity.heard.fetch_add(read, Ordering::Relaxed);
        }
        polled
    }
}

impl<IO: AsyncWrite> AsyncWrite for Watched<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}
