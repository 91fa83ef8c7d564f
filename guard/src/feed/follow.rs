//! What a guard makes of what the feed tells.

use super::wire::{SnapshotPart, Told, WatchResponse};
use crate::revocations::{LiveRevocations, Progress, Revocation};

/// Why the feed must be begun anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// An event is missing.
    Gap,
    /// A part of a snapshot came in the middle of another one's.
    MixedSnapshot,
}

/// Follows one stream of answers.
#[derive(Debug, Default)]
pub(super) struct Follower {
    /// The parts of a snapshot that has begun.
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    progress: Progress,
    revocations: Vec<Revocation>,
}

impl Follower {
    /// Takes the next answer.
    pub(super) fn take(
        &mut self,
        answer: WatchResponse,
        known: &LiveRevocations,
    ) -> Result<(), Broken> {
        let sequence = answer.sequence;
        let follow = |revocation: Option<&Revocation>| match known.follow(sequence, revocation) {
            true => Ok(()),
            false => Err(Broken::Gap),
        };
        match answer.told {
            Some(Told::Snapshot(part)) => self.snapshot(sequence, part, known),
            Some(Told::Revoked(revocation)) => {
                let revocation = revocation.read();
                if revocation.is_none() {
                    tracing::warn!(
                        sequence,
                        "a revocation of a kind that this guard does not know"
                    );
                }
                follow(revocation.as_ref())
            }
            Some(Told::Key(change)) => {
                tracing::info!(
                    kid = change.key_id,
                    state = change.state,
                    "a key changes its state"
                );
                follow(None)
            }
            None => {
                // Something of a later version. It has a number like every event, and going back for
                // it would bring it again, for ever.
                tracing::warn!(sequence, "an event of a kind that this guard does not know");
                follow(None)
            }
            // It names the last event; one that is not known here was lost.
            Some(Told::Heartbeat(_)) => match known.progress().sequence == sequence {
                true => {
                    known.heard();
                    Ok(())
                }
                false => Err(Broken::Gap),
            },
        }
    }

    fn snapshot(
        &mut self,
        sequence: i64,
        part: SnapshotPart,
        known: &LiveRevocations,
    ) -> Result<(), Broken> {
        let progress = Progress {
            feed: part.feed,
            sequence,
        };
        let mut pending = match self.pending.take() {
            Some(pending) if pending.progress == progress => pending,
            Some(_) => return Err(Broken::MixedSnapshot),
            None => Pending {
                progress,
                revocations: Vec::new(),
            },
        };
        let read = part.revocations.into_iter().filter_map(|it| it.read());
        pending.revocations.extend(read);
        if part.last {
            known.begin(pending.progress, &pending.revocations);
        } else {
            // Nothing of it counts yet, so nothing was heard that brings what is known up to date.
            self.pending = Some(pending);
        }
        Ok(())
    }
}
