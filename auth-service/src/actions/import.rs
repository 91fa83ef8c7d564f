//! Accounts move over from another system, in batches.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::mem;

use millgate_contract::auth::v1 as pb;
use millgate_guard::Caller;
use millgate_platform::{Fault, FieldViolation, Reason, Tx};
use prost::Message;

use crate::app::App;
use crate::audit::Event;
use crate::domain::{Email, Micros, MovedUser, Names, Role, Username};
use crate::hashing::Format;
use crate::origin::Origin;
use crate::standing;
use crate::store::imports::{self, Progress, Taken};

/// How many rows are written at once: SQLite's one writer is held for some ten milliseconds, and a row costs little
/// beside the commit.
const BATCH: usize = 500;
/// The most rows of one stream: a dry run remembers every name that it has seen.
const MOST_ROWS: i64 = 1_000_000;
/// The most reasons that a report tells.
const MOST_ERRORS: usize = 1_000;

/// The options of an import.
pub(crate) struct Options {
    /// Its id, where the caller gave one.
    pub(crate) id: Option<String>,
    /// Whether nothing is written.
    pub(crate) dry_run: bool,
    /// The role of rows that say none.
    pub(crate) default_role: Option<Role>,
    /// Whether a row whose name is taken is passed over rather than refused.
    pub(crate) skips_taken: bool,
    /// As they were sent, less the id: a stream that goes on must have the same.
    pub(crate) sent: pb::ImportOptions,
}

/// A row of the file.
pub(crate) struct Row {
    /// Its line.
    pub(crate) line: i64,
    /// The account and its hash's format, or what is wrong with it.
    pub(crate) content: Result<(MovedUser, Format), Vec<FieldViolation>>,
}

/// An import on its way.
pub(crate) struct Import {
    caller: Caller,
    origin: Origin,
    owner: String,
    id: String,
    options: Options,
    /// The line of the last row that came.
    line: i64,
    /// How many rows came.
    rows: i64,
    /// Rows to be written.
    batch: Vec<Row>,
    /// What is written, or would be.
    report: pb::ImportUsersResponse,
    /// How many rows of this stream were done already.
    resumed: i64,
    /// The names in a dry run so far, hashed.
    seen: (RandomState, HashSet<u64>),
}

impl Import {
    /// Begins an import, or goes on with one.
    ///
    /// # Errors
    /// REQUEST_ID_REUSED when the id stands for an import with other options.
    pub(crate) async fn begin(
        app: &App,
        caller: &Caller,
        options: Options,
        origin: &Origin,
    ) -> Result<Self, Fault> {
        let id = options
            .id
            .clone()
            .unwrap_or_else(|| app.entropy.uuid_v4().to_string());
        let import = Self {
            caller: caller.clone(),
            origin: origin.clone(),
            owner: caller.key(),
            line: 0,
            rows: 0,
            batch: Vec::with_capacity(BATCH),
            report: pb::ImportUsersResponse {
                import_id: id.clone(),
                dry_run: options.dry_run,
                ..Default::default()
            },
            resumed: 0,
            seen: Default::default(),
            options,
            id,
        };
        if !import.options.dry_run {
            let new = Progress {
                options: import.options.sent.encode_to_vec(),
                last_line: 0,
                report: import.report.encode_to_vec(),
            };
            imports::begin(&app.db, &import.owner, &import.id, &new, app.now()).await?;
            let mut tx = app.db.begin().await?;
            import.progress(&mut tx).await?;
        }
        Ok(import)
    }

    /// The role of rows that say none.
    pub(crate) fn default_role(&self) -> Option<Role> {
        self.options.default_role
    }

    /// Takes a row, and writes the batch when it is full.
    ///
    /// # Errors
    /// FIELD_INVALID when the lines do not ascend or are too many; what ends a caller's standing.
    pub(crate) async fn take(&mut self, app: &App, row: Row) -> Result<(), Fault> {
        if row.line <= self.line {
            return Err(self.broken(Fault::field(
                "user.line",
                "each row's must be greater than the one's before, and the first's at least 1",
            )));
        }
        if self.rows >= MOST_ROWS {
            return Err(self.broken(Fault::field(
                "user.line",
                "at most 1000000 rows in one import: split the file",
            )));
        }
        self.line = row.line;
        self.rows += 1;
        self.batch.push(row);
        if self.batch.len() < BATCH {
            return Ok(());
        }
        self.write(app).await.map_err(|fault| self.broken(fault))
    }

    /// Writes what is left and gives the report.
    ///
    /// # Errors
    /// As [`Import::take`].
    pub(crate) async fn finish(mut self, app: &App) -> Result<pb::ImportUsersResponse, Fault> {
        if let Err(fault) = self.write(app).await {
            return Err(self.broken(fault));
        }
        if self.options.dry_run {
            self.event("dry_run").noted(app, &self.origin);
        }
        tracing::info!(
            import_id = self.id,
            dry_run = self.options.dry_run,
            created = self.report.created,
            skipped = self.report.skipped,
            refused = self.report.refused,
            "imported accounts"
        );
        Ok(pb::ImportUsersResponse {
            resumed: self.resumed,
            ..self.report
        })
    }

    fn event(&self, cause: &'static str) -> Event<'_> {
        Event {
            what: "import_users",
            cause,
            actor: &self.owner,
            session: self.caller.session().unwrap_or_default(),
            ..Event::default()
        }
    }

    /// A fault that ends the stream, with what is needed to go on.
    fn broken(&self, fault: Fault) -> Fault {
        fault.with_metadata("import_id", &self.id)
    }

    /// Writes the batch: all of it, and how far the import has come, or nothing. A long stream outlives its caller's
    /// rights no more than by one batch.
    async fn write(&mut self, app: &App) -> Result<(), Fault> {
        let now = app.now();
        if now / 1_000_000 >= self.caller.expires_at() {
            return Err(Fault::new(
                Reason::TokenExpired,
                "the token expired while the import ran; send it again with a new one",
            ));
        }
        standing::check(app, &self.caller).await?;
        let batch = mem::take(&mut self.batch);
        if self.options.dry_run {
            return self.rehearse(app, batch).await;
        }
        let mut tx = app.db.begin().await?;
        let Progress {
            mut last_line,
            report,
            ..
        } = self.progress(&mut tx).await?;
        let mut report = pb::ImportUsersResponse::decode(report.as_slice())
            .map_err(|error| Fault::internal("a stored report is unreadable").with_source(error))?;
        let (mut resumed, created) = (0, report.created);
        for Row { line, content } in batch {
            if line <= last_line {
                resumed += 1;
                continue;
            }
            last_line = line;
            match content {
                Err(bad) => refuse(&mut report, line, bad),
                Ok((moved, format)) => {
                    if let Some(id) = imports::insert(&mut tx, &moved, now).await? {
                        create(&mut report, format);
                        // Whoever gets rights by it is told one by one, as if they had been made here.
                        if moved.new.role != Role::Customer {
                            let event = Event {
                                what: "create_user",
                                subject: Some(id),
                                ..self.event("import")
                            };
                            event.done(&mut tx, app, &self.origin).await?;
                        }
                    } else {
                        let taken = imports::taken_in(&mut tx, &moved.new.names).await?;
                        conflict(&mut report, &self.options, line, taken);
                    }
                }
            }
        }
        let to = (last_line, report.encode_to_vec());
        imports::advance(&mut tx, &self.owner, &self.id, (to.0, &to.1), now).await?;
        let created = report.created - created;
        if created > 0 {
            self.event("")
                .done_times(created, &mut tx, app, &self.origin)
                .await?;
        }
        tx.commit().await?;
        self.resumed += resumed;
        self.report = report;
        Ok(())
    }

    /// Does what [`Import::write`] does, but for the writing: names that an earlier row of the stream would have taken
    /// are remembered.
    async fn rehearse(&mut self, app: &App, batch: Vec<Row>) -> Result<(), Fault> {
        for Row { line, content } in batch {
            match content {
                Err(bad) => refuse(&mut self.report, line, bad),
                Ok((moved, format)) => {
                    let stored = imports::taken(&app.db, &moved.new.names).await?;
                    let before = self.seen_before(&moved.new.names);
                    let taken = Taken {
                        username: stored.username || before.username,
                        email: stored.email || before.email,
                    };
                    if taken.username || taken.email {
                        conflict(&mut self.report, &self.options, line, taken);
                    } else {
                        self.see(&moved.new.names);
                        create(&mut self.report, format);
                    }
                }
            }
        }
        Ok(())
    }

    fn seen_before(&self, names: &Names) -> Taken {
        let (state, seen) = &self.seen;
        let has =
            |name: Option<&str>| name.is_some_and(|name| seen.contains(&state.hash_one(name)));
        Taken {
            username: has(names.username().map(Username::canonical)),
            email: has(names.email().map(Email::canonical)),
        }
    }

    fn see(&mut self, names: &Names) {
        let (state, seen) = &mut self.seen;
        let username = names.username().map(Username::canonical);
        let email = names.email().map(Email::canonical);
        // No user name reads as an address: one set does for both.
        seen.extend(
            username
                .into_iter()
                .chain(email)
                .map(|name| state.hash_one(name)),
        );
    }

    /// How far the import has come, held until the end of the transaction.
    async fn progress(&self, tx: &mut Tx) -> Result<Progress, Fault> {
        let gone = || {
            Fault::new(
                Reason::StateConflict,
                "this import was forgotten: it took longer than 7 days",
            )
        };
        let progress = imports::hold(tx, &self.owner, &self.id)
            .await?
            .ok_or_else(gone)?;
        if progress.options == self.options.sent.encode_to_vec() {
            return Ok(progress);
        }
        Err(Fault::new(
            Reason::RequestIdReused,
            "this import_id was used with other options",
        ))
    }
}

fn create(report: &mut pb::ImportUsersResponse, format: Format) {
    report.read += 1;
    report.created += 1;
    match report
        .formats
        .binary_search_by(|count| count.format.as_str().cmp(format.name()))
    {
        Ok(at) => report.formats[at].count += 1,
        Err(at) => report.formats.insert(
            at,
            pb::ImportFormatCount {
                format: format.name().to_owned(),
                count: 1,
            },
        ),
    }
}

fn conflict(report: &mut pb::ImportUsersResponse, options: &Options, line: i64, taken: Taken) {
    if options.skips_taken {
        report.read += 1;
        report.skipped += 1;
        return;
    }
    let violation = |field: &str, reason, description: &str| FieldViolation {
        field: field.to_owned(),
        reason,
        description: description.to_owned(),
    };
    let mut bad = Vec::new();
    if taken.username {
        bad.push(violation(
            "username",
            Reason::UsernameTaken,
            "this user name is taken",
        ));
    }
    // The other one may have been freed between the two statements; then it is the address that was taken.
    if taken.email || bad.is_empty() {
        bad.push(violation(
            "email",
            Reason::EmailTaken,
            "this email address is taken",
        ));
    }
    refuse(report, line, bad);
}

fn refuse(report: &mut pb::ImportUsersResponse, line: i64, bad: Vec<FieldViolation>) {
    report.read += 1;
    report.refused += 1;
    for FieldViolation {
        field,
        reason,
        description,
    } in bad
    {
        if report.errors.len() < MOST_ERRORS {
            report.errors.push(pb::ImportError {
                line,
                field,
                reason: reason.as_str().to_owned(),
                description,
            });
        } else {
            report.errors_left_out += 1;
        }
    }
}

/// When an account of another system was made, if it can be so.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn create_time(
    at: &prost_types::Timestamp,
    now: Micros,
) -> Result<Micros, &'static str> {
    let good_nanos = (0..1_000_000_000).contains(&at.nanos);
    at.seconds
        .checked_mul(1_000_000)
        .and_then(|micros| micros.checked_add(i64::from(at.nanos / 1_000)))
        .filter(|micros| good_nanos && (0..=now).contains(micros))
        .ok_or("must be a time between 1970 and now")
}
