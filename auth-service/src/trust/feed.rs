//! Gives events their numbers, and tells them.

use std::sync::Arc;
use std::time::Duration;

use millgate_guard::LONGEST_LEEWAY;
use millgate_platform::{Fault, StartError, Wake};

use super::EXPECTED_FOR;
use crate::app::App;
use crate::domain::{Micros, micros};
use crate::store;

/// How often the table is looked at when nobody wakes the feed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often what is over is deleted.
const PURGE_EVERY: Duration = Duration::from_secs(60);

/// Until when what has expired is over for every guard: one may have a leeway, or a clock that is behind.
pub(super) fn over(now: Micros) -> Micros {
    now.saturating_sub(micros(LONGEST_LEEWAY))
}

/// Follows the events of the database.
pub(crate) struct Feed {
    wake: Wake,
    /// The last event that this replica has told.
    told: i64,
    purge_at: Micros,
}

impl Feed {
    /// Takes what is refused now: after it this service knows everything that was revoked before it began.
    ///
    /// # Errors
    /// When the database is not to be had.
    pub(crate) async fn begin(app: &App, token_life: Duration) -> Result<Self, StartError> {
        store::trust::allow_life(&app.db, micros(token_life)).await?;
        // Listening first: what is written in between is told.
        let wake = app.db.wake(store::trust::EVENTS).await?;
        let mut feed = Self {
            wake,
            told: 0,
            purge_at: 0,
        };
        feed.catch_up(app).await?;
        app.trust.known.complete();
        Ok(feed)
    }

    /// Tells every event as soon as it is committed, until it is dropped.
    pub(crate) async fn run(mut self, app: Arc<App>) {
        loop {
            let caught_up = self.catch_up(&app).await;
            app.trust.tells(caught_up.is_ok());
            match caught_up {
                Ok(()) => app.trust.known.heard(),
                Err(fault) => {
                    tracing::warn!(%fault, "revocations are not told at present");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
            self.wake.wait(LOOK_EVERY).await;
        }
    }

    async fn catch_up(&mut self, app: &App) -> Result<(), Fault> {
        while store::trust::number(&app.db).await? > 0 {}
        let last = store::trust::feed(&app.db).await?.sequence;
        while self.told < last {
            let events = store::trust::after(&app.db, self.told, last).await?;
            // Rows that were over may have been deleted: numbers may be missing, the last ones too.
            self.told = events.last().map_or(last, |event| event.sequence);
            for event in events {
                app.trust.tell(event);
            }
        }
        if self.purge_at <= app.now() {
            self.purge(app).await?;
        }
        Ok(())
    }

    async fn purge(&mut self, app: &App) -> Result<(), Fault> {
        let now = app.now();
        while store::trust::purge(&app.db, over(now)).await? > 0 {
            tokio::task::yield_now().await;
        }
        store::trust::forget(&app.db, now.saturating_sub(micros(EXPECTED_FOR))).await?;
        app.trust.known.sweep();
        self.purge_at = now.saturating_add(micros(PURGE_EVERY));
        Ok(())
    }
}
