//! The audit log is read and verified. Long answers end when the caller's right to them does.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream::{self, Stream, TryStreamExt as _};
use millgate_guard::Caller;
use millgate_platform::{Fault, Page, Reason};
use tokio::sync::OwnedSemaphorePermit;

use crate::app::App;
use crate::audit::Event;
use crate::audit::verify::{Progress, Verification};
use crate::domain::audit::Sealed;
use crate::domain::seconds;
use crate::origin::Origin;
use crate::standing;
use crate::store::audit::{self, Filter, Order};

/// Events that are read at once for an export.
const BATCH: i64 = 500;

/// A page of events, and the token of the next one.
///
/// # Errors
/// STORE_UNAVAILABLE.
pub(crate) async fn list(
    app: &App,
    filter: &Filter,
    order: Order,
    page: &Page,
) -> Result<(Vec<Sealed>, String), Fault> {
    audit::page(&app.db, filter, order, page).await
}

/// All events behind `after`, the oldest first, read as fast as they are taken.
pub(crate) fn export(
    app: Arc<App>,
    caller: Caller,
    filter: Filter,
    after: i64,
    origin: &Origin,
) -> impl Stream<Item = Result<Sealed, Fault>> + use<> {
    tell("export_audit_log", &app, &caller, origin);
    let begin = (app, caller, filter, Some(after));
    let batches = stream::try_unfold(begin, |(app, caller, filter, after)| async move {
        let Some(after) = after else {
            return Ok::<_, Fault>(None);
        };
        still_good(&app, &caller).await?;
        let rows = audit::matching(&app.db, &filter, Order::Oldest, after, BATCH).await?;
        let full = i64::try_from(rows.len()).is_ok_and(|read| read == BATCH);
        let next = rows.last().filter(|_| full).map(|row| row.seq);
        let rows = VecDeque::from(rows);
        Ok(Some((rows, (app, caller, filter, next))))
    });
    batches
        .map_ok(|rows| stream::iter(rows.into_iter().map(Ok)))
        .try_flatten()
}

/// Looks at the whole log; tells how far it is after every batch.
///
/// # Errors
/// STREAM_LIMIT while others are at it; STORE_UNAVAILABLE.
pub(crate) async fn verify(
    app: Arc<App>,
    caller: Caller,
    origin: &Origin,
) -> Result<impl Stream<Item = Result<Progress, Fault>> + use<>, Fault> {
    let turn = app.audit.verifications.clone();
    let permit = turn.try_acquire_owned().map_err(|_| {
        let message = "the log is being verified already; try again when that has ended";
        Fault::new(Reason::StreamLimit, message)
    })?;
    tell("verify_audit_log", &app, &caller, origin);
    let audit = &app.audit;
    let verification =
        Verification::begin(app.db.clone(), audit.chain.clone(), &audit.path).await?;
    let begin = Verifying {
        verification,
        app,
        caller,
        _permit: permit,
    };
    Ok(stream::try_unfold(Some(begin), |verifying| async move {
        let Some(mut verifying) = verifying else {
            return Ok(None);
        };
        still_good(&verifying.app, &verifying.caller).await?;
        let progress = verifying.verification.step().await?;
        let next = progress.intact.is_none().then_some(verifying);
        Ok(Some((progress, next)))
    }))
}

/// Who takes the log away, or looks whether a trace of theirs would be found, is in it as well.
fn tell(what: &'static str, app: &App, caller: &Caller, origin: &Origin) {
    let event = Event {
        what,
        actor: &caller.key(),
        session: caller.session().unwrap_or_default(),
        ..Event::default()
    };
    event.noted(app, origin);
}

struct Verifying {
    verification: Verification,
    app: Arc<App>,
    caller: Caller,
    _permit: OwnedSemaphorePermit,
}

/// Lets a long answer go on.
///
/// # Errors
/// TOKEN_EXPIRED, and as [`standing::check`].
async fn still_good(app: &App, caller: &Caller) -> Result<(), Fault> {
    if seconds(app.now()) >= caller.expires_at() {
        return Err(Fault::new(
            Reason::TokenExpired,
            "the token has expired; go on with a new one behind the last event",
        ));
    }
    standing::check(app, caller).await.map(drop)
}
