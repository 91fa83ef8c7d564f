//! Looks at every row of the log, a batch at a time and without a transaction: what is sealed does not change, so who
//! reads it needs to hold nothing.

use std::path::Path;
use std::sync::Arc;

use millgate_platform::{Database, Fault};

use super::lines::{Line, Lines};
use crate::domain::audit::{Chain, Checkpoint, Head, Mac, Sealed};
use crate::store;

/// Rows of a batch.
const BATCH: i64 = 1_000;
const FULL: usize = 1_000;
/// Lines of the file that are read at once.
const LINES: usize = 1_000;
/// After so many findings nobody needs more to know that the log is broken.
const ENOUGH: usize = 100;

/// What is wrong at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FindingKind {
    /// The row is not as it was sealed, or stands in the wrong place.
    Altered,
    /// Rows are missing from here on.
    Missing,
    /// The log ends before this row, which there was.
    CutOff,
    /// There is a row behind the end of the log, or before its beginning.
    PutIn,
    /// A checkpoint cannot be read, is not ours, or vouches for another row than this one.
    Checkpoint,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// At which number.
    pub seq: i64,
    /// What.
    pub kind: FindingKind,
    /// The same for people.
    pub description: String,
}

/// How far a verification is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows looked at.
    pub rows: i64,
    /// Rows there are to look at.
    pub total: i64,
    /// Checkpoints compared, of the database and of the file.
    pub checkpoints: i64,
    /// What was found since the last time.
    pub findings: Vec<Finding>,
    /// Whether the log is intact; none while the verification works.
    pub intact: Option<bool>,
}

/// A verification under way.
pub struct Verification {
    db: Database,
    chain: Arc<Chain>,
    lines: Option<Lines>,
    /// The newest checkpoint of the database, read before the head.
    newest: Option<Checkpoint>,
    /// Where the log ended at the beginning.
    head: Head,
    seq: i64,
    /// The code of the row before; none behind a gap, where nothing can be said about the next row.
    before: Option<Mac>,
    found: usize,
    progress: Progress,
}

impl Verification {
    /// Begins at the log's first row.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE; INTERNAL when the file is there and cannot be read.
    pub(crate) async fn begin(db: Database, chain: Arc<Chain>, file: &Path) -> Result<Self, Fault> {
        // In this order: what the log grows by meanwhile is behind the head, and nobody vouches for it here.
        let lines = Lines::of(file).map_err(|error| unreadable_file(&error))?;
        let newest = store::audit::last_checkpoint(&db).await?;
        let head = store::audit::head(&db)
            .await?
            .unwrap_or_else(|| chain.beginning());
        let before_the_first = store::audit::before_the_first(&db).await?;
        let mut verification = Self {
            before: Some(chain.beginning().mac),
            progress: Progress {
                total: head.seq,
                ..Progress::default()
            },
            lines: Some(lines),
            seq: 0,
            found: 0,
            newest,
            head,
            chain,
            db,
        };
        if let Some(seq) = before_the_first {
            let description = "there is a row before the first one of the log";
            verification.find(seq, FindingKind::PutIn, description.to_owned());
        }
        Ok(verification)
    }

    /// Looks at the next batch. After the one that says whether the log is intact there are no more.
    ///
    /// # Errors
    /// STORE_UNAVAILABLE; INTERNAL when the file cannot be read.
    pub async fn step(&mut self) -> Result<Progress, Fault> {
        let mut rows = store::audit::rows(&self.db, self.seq, BATCH).await?;
        rows.retain(|row| row.seq <= self.head.seq);
        let last = rows.last().map(|row| row.seq);
        // Behind the last batch there may be a gap up to the head, and checkpoints in it.
        let to = match last {
            Some(seq) if rows.len() == FULL => seq,
            _ => self.head.seq,
        };
        let mut vouched = store::audit::checkpoints(&self.db, self.seq, to).await?;
        vouched.extend(self.lines_up_to(to).await?);
        self.progress.checkpoints += i64::try_from(vouched.len()).unwrap_or_default();
        for row in &rows {
            self.look_at(row);
            let here = |checkpoint: &&Checkpoint| checkpoint.head.seq == row.seq;
            for checkpoint in vouched.iter().filter(here) {
                self.compare(checkpoint, Some(row));
            }
        }
        // What is vouched for and is not there, or was passed before: the file goes back only where the log was set back.
        for checkpoint in &vouched {
            if rows
                .binary_search_by_key(&checkpoint.head.seq, |row| row.seq)
                .is_err()
            {
                self.compare(checkpoint, None);
            }
        }
        if to == self.head.seq {
            self.end().await?;
        }
        if self.found >= ENOUGH {
            self.progress.intact = Some(false);
        }
        let progress = self.progress.clone();
        self.progress.findings.clear();
        Ok(progress)
    }

    fn look_at(&mut self, row: &Sealed) {
        let expected = self.seq + 1;
        if row.seq != expected {
            let last = row.seq - 1;
            self.find(
                expected,
                FindingKind::Missing,
                format!("rows {expected} to {last} are missing"),
            );
            self.before = None;
        }
        if let Some(before) = self.before
            && !self.chain.fits(&before, row)
        {
            let description = "the row is not as it was sealed, or stands in the wrong place";
            self.find(row.seq, FindingKind::Altered, description.to_owned());
        }
        self.seq = row.seq;
        self.before = Some(row.mac);
        self.progress.rows += 1;
    }

    fn compare(&mut self, checkpoint: &Checkpoint, row: Option<&Sealed>) {
        let description = if !self.chain.is_signed(checkpoint) {
            "a checkpoint for this row is not signed by this service"
        } else if row.is_none() {
            "a checkpoint vouches for a row that is not where it was"
        } else if row.is_some_and(|row| row.mac != checkpoint.head.mac) {
            "a checkpoint vouches for another row than this one"
        } else {
            return;
        };
        self.find(
            checkpoint.head.seq,
            FindingKind::Checkpoint,
            description.to_owned(),
        );
    }

    /// Looks at the end of the log.
    async fn end(&mut self) -> Result<(), Fault> {
        let Head { seq: end, mac } = self.head;
        if self.seq < end {
            let from = self.seq + 1;
            self.find(
                from,
                FindingKind::CutOff,
                format!("rows {from} to {end} are missing at the end"),
            );
        } else if self.before != Some(mac) {
            let description = "the head of the log tells of another row than the last one";
            self.find(end, FindingKind::Altered, description.to_owned());
        }
        let mut beyond: Vec<Checkpoint> = self.newest.into_iter().collect();
        beyond.extend(self.lines_up_to(i64::MAX).await?);
        beyond.retain(|checkpoint| checkpoint.head.seq > end);
        for checkpoint in beyond {
            if self.chain.is_signed(&checkpoint) {
                let gone = checkpoint.head.seq;
                let description = format!(
                    "a checkpoint vouches for row {gone}, and the log ends at {end}: it was cut off, or an older state was restored"
                );
                self.find(end + 1, FindingKind::CutOff, description);
            } else {
                self.compare(&checkpoint, None);
            }
        }
        // The row first: what was sealed meanwhile is not behind the head that is read after it.
        let next = store::audit::rows(&self.db, end, 1).await?;
        let head = store::audit::head(&self.db).await?;
        if let Some(row) = next.first()
            && head.is_none_or(|head| head.seq < row.seq)
        {
            let description = "there is a row behind the end of the log";
            self.find(row.seq, FindingKind::PutIn, description.to_owned());
        }
        self.progress.intact = Some(self.found == 0);
        Ok(())
    }

    /// The checkpoints of the file up to a row. Damaged ones are told of here.
    async fn lines_up_to(&mut self, seq: i64) -> Result<Vec<Checkpoint>, Fault> {
        let mut checkpoints = Vec::new();
        while let Some(mut lines) = self.lines.take() {
            let read = tokio::task::spawn_blocking(move || {
                let some = lines.up_to(seq, LINES);
                (lines, some)
            });
            let (lines, some) = read
                .await
                .map_err(|error| Fault::internal(error.to_string()))?;
            let some = some.map_err(|error| unreadable_file(&error))?;
            self.lines = Some(lines);
            let full = some.len() == LINES;
            for line in some {
                match line {
                    Line::Checkpoint(checkpoint) => checkpoints.push(checkpoint),
                    Line::Damaged => self.find(
                        self.seq,
                        FindingKind::Checkpoint,
                        "the last line of the file of checkpoints cannot be read".to_owned(),
                    ),
                }
            }
            // A file of ours has no more for a batch of rows than two readings; one that has is broken anyway.
            if !full || checkpoints.len() > LINES {
                break;
            }
        }
        Ok(checkpoints)
    }

    fn find(&mut self, seq: i64, kind: FindingKind, description: String) {
        self.found += 1;
        if self.found <= ENOUGH {
            self.progress.findings.push(Finding {
                seq,
                kind,
                description,
            });
        }
    }
}

fn unreadable_file(error: &std::io::Error) -> Fault {
    Fault::internal(format!("{}: {error}", super::checkpoints::SETTING))
}
