//! One guard that follows the feed.

use std::sync::Arc;
use std::time::Duration;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::watch_request::Said;
use millgate_contract::auth::v1::watch_response::Told;
use millgate_guard::{Caller, StreamToken};
use millgate_platform::{Fault, Reason};
use tokio::sync::{broadcast, mpsc};
use tonic::{Status, Streaming};

use super::LEFT_AFTER;
use super::feed::over;
use super::seats::Seat;
use crate::app::App;
use crate::domain::micros;
use crate::domain::trust::{Connected, Event};
use crate::store;
use crate::wire::trust::{self as wire, Greeting};

/// How often something is said when there is nothing to say.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a guard may take to say hello.
const PATIENCE: Duration = Duration::from_secs(10);
/// Answers that may wait for a slow guard.
const OUTBOX: usize = 16;

type Answers = mpsc::Receiver<Result<pb::WatchResponse, Status>>;

/// A guard's side of the connection.
pub(crate) struct Connection {
    app: Arc<App>,
    guard: Connected,
    said: Streaming<pb::WatchRequest>,
    token: StreamToken,
    answers: mpsc::Sender<Result<pb::WatchResponse, Status>>,
    events: broadcast::Receiver<Arc<Event>>,
    /// The last event that the guard was told.
    told: i64,
    _seat: Seat,
}

/// The guard is gone, or cannot follow.
enum End {
    Gone,
    Fault(Status),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault.into())
    }
}

/// Lets a guard follow the feed, once it has said hello.
///
/// # Errors
/// STREAM_LIMIT when too many are connected, of all or of this account; DEADLINE when it says nothing; FIELD_INVALID when its hello is none.
pub(crate) async fn open(
    app: &Arc<App>,
    caller: &Caller,
    token: StreamToken,
    mut said: Streaming<pb::WatchRequest>,
) -> Result<Answers, Status> {
    let seat = app.trust.seats.take(caller.subject())?;
    let first = tokio::time::timeout(PATIENCE, said.message()).await;
    let first = first.map_err(|_| Fault::new(Reason::Deadline, "no hello came in time"))??;
    let Greeting {
        instance,
        feed,
        sequence,
        key_ids,
    } = wire::greeting(first)?;
    let (answers, outbox) = mpsc::channel(OUTBOX);
    let connection = Connection {
        // Before anything is read: what is told in between is not lost.
        events: app.trust.events.subscribe(),
        guard: Connected {
            connection: app.entropy.uuid_v4().to_string(),
            client_id: caller.subject().to_owned(),
            instance,
            key_ids,
            seen_time: app.now(),
            left: false,
        },
        app: app.clone(),
        said,
        token,
        answers,
        told: 0,
        _seat: seat,
    };
    tokio::spawn(connection.run(feed, sequence));
    Ok(outbox)
}

impl Connection {
    async fn run(mut self, feed: String, sequence: i64) {
        let end = match self.begin(&feed, sequence).await {
            Ok(()) => self.follow().await,
            Err(end) => end,
        };
        if let End::Fault(status) = end {
            // It may have gone meanwhile.
            let _gone = self.answers.try_send(Err(status));
        }
        let left = store::trust::left(&self.app.db, &self.guard.connection, self.app.now());
        if let Err(fault) = left.await {
            tracing::debug!(%fault, "a guard left, and nobody could note it; that shows in a while");
        }
    }

    /// Tells what the guard has missed, or else everything.
    async fn begin(&mut self, feed: &str, sequence: i64) -> Result<(), End> {
        self.seen().await?;
        let since = self.app.now().saturating_sub(micros(LEFT_AFTER));
        store::trust::back(&self.app.db, &self.guard, since).await?;
        // What is committed and has no number yet belongs to what the guard must know before it is said to know all.
        while store::trust::number(&self.app.db).await? > 0 {}
        let now = store::trust::feed(&self.app.db).await?;
        if feed == now.name && (1..=now.sequence).contains(&sequence) {
            self.told = sequence;
            if self.catch_up(now.sequence).await? {
                return Ok(());
            }
        }
        self.snapshot(&now).await
    }

    /// Tells the events up to `last`. False when some of them are no longer there.
    async fn catch_up(&mut self, last: i64) -> Result<bool, End> {
        while self.told < last {
            let events = store::trust::after(&self.app.db, self.told, last).await?;
            let first = events.first().map(|event| event.sequence);
            if first != Some(self.told + 1) {
                return Ok(false);
            }
            for event in events {
                if event.sequence != self.told + 1 {
                    return Ok(false);
                }
                self.tell(&event).await?;
            }
        }
        Ok(true)
    }

    /// Tells everything that is refused now, in parts.
    async fn snapshot(&mut self, feed: &store::trust::Feed) -> Result<(), End> {
        let (mut after, last) = (0, feed.sequence);
        loop {
            let events = store::trust::after(&self.app.db, after, last).await?;
            let end = events.last().map(|event| event.sequence);
            after = end.unwrap_or(last);
            let over = over(self.app.now());
            let living = events.iter().filter(|event| event.expire_time > over);
            let part = pb::SnapshotPart {
                feed: feed.name.clone(),
                revocations: living.filter_map(wire::revocation).collect(),
                last: end.is_none() || after >= last,
            };
            let whole = part.last;
            self.say(last, Told::Snapshot(part)).await?;
            if whole {
                self.told = last;
                return Ok(());
            }
        }
    }

    async fn follow(&mut self) -> End {
        let mut beat = tokio::time::interval(HEARTBEAT);
        loop {
            let done = tokio::select! {
                event = self.events.recv() => match event {
                    Ok(event) => self.hear(&event).await,
                    // It comes back, and catches up from the database.
                    Err(_) => return End::Fault(behind()),
                },
                said = self.said.message() => match said {
                    Ok(Some(said)) => self.listen(said).await,
                    Ok(None) | Err(_) => return End::Gone,
                },
                _ = beat.tick() => self.beat().await,
                () = self.answers.closed() => return End::Gone,
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    async fn hear(&mut self, event: &Event) -> Result<(), End> {
        // What the guard was told from the database comes once more.
        if event.sequence > self.told {
            self.tell(event).await?;
        }
        Ok(())
    }

    async fn listen(&mut self, said: pb::WatchRequest) -> Result<(), End> {
        match said.said {
            Some(Said::Keys(keys)) => {
                self.guard.key_ids = wire::key_ids(keys.key_ids)?;
                self.seen().await
            }
            Some(Said::AccessToken(token)) => self.token.renew(&token).map_err(End::Fault),
            Some(Said::Hello(_)) | None => Err(End::Fault(wire::no_second_hello().into())),
        }
    }

    async fn beat(&mut self) -> Result<(), End> {
        if !self.app.trust.is_telling() {
            let message = "revocations are not told at present; try another replica";
            return Err(Fault::new(Reason::StoreUnavailable, message).into());
        }
        self.say(self.told, Told::Heartbeat(pb::Heartbeat {}))
            .await?;
        self.seen().await
    }

    async fn seen(&mut self) -> Result<(), End> {
        self.guard.seen_time = self.app.now();
        Ok(store::trust::seen(&self.app.db, &self.guard).await?)
    }

    async fn tell(&mut self, event: &Event) -> Result<(), End> {
        self.say(event.sequence, wire::event(event)).await?;
        self.told = event.sequence;
        Ok(())
    }

    async fn say(&self, sequence: i64, told: Told) -> Result<(), End> {
        let answer = pb::WatchResponse {
            sequence,
            told: Some(told),
        };
        self.answers.send(Ok(answer)).await.map_err(|_| End::Gone)
    }
}

fn behind() -> Status {
    Fault::new(
        Reason::Overloaded,
        "this guard is too far behind; it catches up when it comes back",
    )
    .into()
}
