//! A small service of somebody else's, behind the guard: its own proto, its own roles.
//!
//! `NOTES_KEYS` is the key file of the auth service; `NOTES_LISTEN` where to listen. With
//! `AUTH_ENDPOINT` and `NOTES_TOKEN_FILE` it follows the trust feed, too; with `NOTES_ARCHIVE`, the
//! address of another one, every note is written there as well, by the same caller.

mod board;
mod trust;

use std::{env, error::Error, path::Path, sync::Arc, time::Duration};

use board::{Board, DESCRIPTORS, pb::note_service_server::NoteServiceServer};
use millgate_guard::{
    Expectations, FilePermissions, Guard, LiveRevocations, Rules, SharedRing, SystemClock, Verifier,
};
use tonic::transport::{Server, server::TcpIncoming};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (keys, clock) = (env::var("NOTES_KEYS")?, Arc::new(SystemClock));
    let every = Duration::from_secs(2);
    let (ring, watch) = SharedRing::watch(Path::new(&keys), FilePermissions::Private, every)?;
    tokio::spawn(watch);
    let known = Arc::new(LiveRevocations::new(clock.clone()));
    trust::follow(known.clone(), ring.clone())?;

    let verifier = Verifier::new(ring, Expectations::default(), clock);
    let rules = Rules::from_descriptors(DESCRIPTORS)?.serving(&["notes.v1.NoteService"]);
    let guard = Guard::new(Arc::new(verifier), rules).with_revocations(known);

    let incoming = TcpIncoming::bind(env::var("NOTES_LISTEN")?.parse()?)?;
    trust::say(&format!("listening on {}", incoming.local_addr()?))?;
    Server::builder()
        .layer(guard.layer())
        .add_service(NoteServiceServer::new(Board::new(guard, trust::archive()?)))
        .serve_with_incoming(incoming)
        .await?;
    Ok(())
}
