//! Every way to tamper with a sealed log is found, at the right row. The tamperer owns the database: the triggers are
//! gone.

use std::path::PathBuf;
use std::sync::Arc;

use millgate_platform::testing::both_databases;
use millgate_platform::{Affected as _, Database, on_write};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use sqlx::AssertSqlSafe;
use tempfile::TempDir;

use super::checkpoints::CheckpointFile;
use super::verify::{FindingKind, Progress, Verification};
use crate::domain::audit::{Chain, Head, Sealed, tests::chain, tests::record};
use crate::store::audit::{Filter, Order};
use crate::store::{self, MIGRATIONS};

const ROWS: i64 = 12;
const CASES: usize = 120;

#[derive(Debug, Clone)]
enum Tampering {
    Edit {
        seq: i64,
        column: &'static str,
    },
    Delete {
        seq: i64,
    },
    /// The end is cut off, and what the database itself knows of it as well.
    CutOff {
        from: i64,
        tidily: bool,
    },
    Swap {
        one: i64,
        other: i64,
    },
    PutIn {
        seq: i64,
    },
    SignAnother {
        seq: i64,
    },
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let seq = || 1..=ROWS;
    let column = proptest::sample::select(vec![
        "time",
        "event",
        "outcome",
        "cause",
        "actor",
        "subject",
        "client_id",
        "session",
        "address",
        "request_id",
        "occurrences",
        "mac",
    ]);
    prop_oneof![
        (seq(), column).prop_map(|(seq, column)| Tampering::Edit { seq, column }),
        seq().prop_map(|seq| Tampering::Delete { seq }),
        (seq(), any::<bool>()).prop_map(|(from, tidily)| Tampering::CutOff { from, tidily }),
        (1..ROWS)
            .prop_flat_map(|one| (Just(one), one + 1..=ROWS))
            .prop_map(|(one, other)| Tampering::Swap { one, other }),
        (1..=ROWS + 1).prop_map(|seq| Tampering::PutIn { seq }),
        proptest::sample::select(vec![4, 8]).prop_map(|seq| Tampering::SignAnother { seq }),
    ]
}

struct Log {
    db: Database,
    chain: Arc<Chain>,
    rows: Vec<Sealed>,
    file: PathBuf,
    _folder: TempDir,
}

impl Log {
    async fn with(db: Database, rows: i64) -> Self {
        let chain = Arc::new(chain());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoints");
        let file = CheckpointFile::open(&path).expect("made");
        let mut head = chain.beginning();
        let mut sealed = Vec::new();
        for time in 1..=rows {
            let row = chain.seal(head, record(time));
            head = Head {
                seq: row.seq,
                mac: row.mac,
            };
            if row.seq % 4 == 0 {
                file.keep(&chain.checkpoint(head, time)).expect("kept");
            }
            sealed.push(row);
        }
        let log = Self {
            db,
            chain,
            rows: sealed,
            file: path,
            _folder: folder,
        };
        for trigger in match log.db {
            Database::Sqlite(_) => vec![
                "DROP TRIGGER audit_log_keep_update",
                "DROP TRIGGER audit_log_keep_delete",
                "DROP TRIGGER audit_checkpoints_keep_update",
                "DROP TRIGGER audit_checkpoints_keep_delete",
            ],
            Database::Postgres(_) => vec!["DROP FUNCTION audit_keep CASCADE"],
        } {
            log.sql(trigger).await;
        }
        log
    }

    /// The log as the sealer left it.
    async fn restore(&self) {
        for table in ["audit_log", "audit_checkpoints", "audit_head"] {
            self.sql(&format!("DELETE FROM {table}")).await;
        }
        let mut tx = self.db.begin().await.expect("begun");
        store::audit::begin(&mut tx, &self.chain.beginning())
            .await
            .expect("begun");
        store::audit::append(&mut tx, &self.rows, &[0])
            .await
            .expect("appended");
        for row in self
            .rows
            .iter()
            .filter(|row| row.seq % 4 == 0 && row.seq < ROWS)
        {
            let head = Head {
                seq: row.seq,
                mac: row.mac,
            };
            let checkpoint = self.chain.checkpoint(head, row.record.time);
            store::audit::add_checkpoint(&mut tx, &checkpoint)
                .await
                .expect("kept");
        }
        tx.commit().await.expect("committed");
    }

    async fn sql(&self, sql: &str) {
        on_write!(self.db, |c| sqlx::query(AssertSqlSafe(sql.to_owned()))
            .execute(c)
            .await
            .affected())
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Tampers, and says where the first trace of it is.
    async fn tamper(&self, how: &Tampering) -> i64 {
        let blob = match self.db {
            Database::Sqlite(_) => "zeroblob(32)",
            Database::Postgres(_) => "decode(repeat('00', 32), 'hex')",
        };
        match *how {
            Tampering::Edit { seq, column } => {
                let value = match column {
                    "time" | "occurrences" => format!("{column} + 1"),
                    "subject" => "NULL".to_owned(),
                    "mac" => blob.to_owned(),
                    _ => format!("{column} || 'x'"),
                };
                self.sql(&format!(
                    "UPDATE audit_log SET {column} = {value} WHERE seq = {seq}"
                ))
                .await;
                seq
            }
            Tampering::Delete { seq } => {
                self.sql(&format!("DELETE FROM audit_log WHERE seq = {seq}"))
                    .await;
                seq
            }
            Tampering::CutOff { from, tidily } => {
                self.sql(&format!("DELETE FROM audit_log WHERE seq >= {from}"))
                    .await;
                if tidily {
                    self.sql(&format!(
                        "DELETE FROM audit_checkpoints WHERE seq >= {from}"
                    ))
                    .await;
                    self.sql("DELETE FROM audit_head").await;
                    let head = match from {
                        1 => self.chain.beginning(),
                        _ => Head {
                            seq: from - 1,
                            mac: self.rows[usize::try_from(from - 2).expect("a place")].mac,
                        },
                    };
                    let mut tx = self.db.begin().await.expect("begun");
                    store::audit::begin(&mut tx, &head).await.expect("set back");
                    tx.commit().await.expect("committed");
                }
                from
            }
            Tampering::Swap { one, other } => {
                for (from, to) in [(one, -1), (other, one), (-1, other)] {
                    self.sql(&format!(
                        "UPDATE audit_log SET seq = {to} WHERE seq = {from}"
                    ))
                    .await;
                }
                one
            }
            Tampering::PutIn { seq } => {
                self.sql(&format!(
                    "UPDATE audit_log SET seq = -(seq + 1) WHERE seq >= {seq}"
                ))
                .await;
                self.sql("UPDATE audit_log SET seq = -seq WHERE seq < 0")
                    .await;
                let like = if seq == 1 { 2 } else { 1 };
                self.sql(&format!(
                    "INSERT INTO audit_log SELECT {seq}, time, event, outcome, cause, actor, subject, client_id, session, \
                     address, request_id, occurrences, mac FROM audit_log WHERE seq = {like}"
                ))
                .await;
                seq
            }
            Tampering::SignAnother { seq } => {
                self.sql(&format!(
                    "UPDATE audit_checkpoints SET time = time + 1 WHERE seq = {seq}"
                ))
                .await;
                seq
            }
        }
    }

    async fn verify(&self) -> Progress {
        let mut verification = Verification::begin(self.db.clone(), self.chain.clone(), &self.file)
            .await
            .expect("begun");
        let mut findings = Vec::new();
        loop {
            let mut progress = verification.step().await.expect("looked");
            findings.append(&mut progress.findings);
            if progress.intact.is_some() {
                return Progress {
                    findings,
                    ..progress
                };
            }
        }
    }
}

#[tokio::test]
async fn every_tampering_is_found_where_it_begins() {
    both_databases(&MIGRATIONS, |db| async move {
        let log = Log::with(db, ROWS).await;
        log.restore().await;
        let untouched = log.verify().await;
        assert_eq!(untouched.intact, Some(true), "{untouched:?}");
        assert_eq!((untouched.rows, untouched.checkpoints), (ROWS, 5));
        let mut runner = TestRunner::deterministic();
        for _ in 0..CASES {
            let how = tampering().new_tree(&mut runner).expect("a case").current();
            log.restore().await;
            let at = log.tamper(&how).await;
            let found = log.verify().await;
            assert_eq!(found.intact, Some(false), "{how:?}");
            let first = found.findings.iter().map(|finding| finding.seq).min();
            assert_eq!(first, Some(at), "{how:?}: {:?}", found.findings);
        }
    })
    .await;
}

#[tokio::test]
async fn a_row_before_the_first_is_found_and_not_listed() {
    both_databases(&MIGRATIONS, |db| async move {
        let log = Log::with(db, ROWS).await;
        for seq in [0, -5] {
            log.restore().await;
            log.sql(&format!(
                "INSERT INTO audit_log SELECT {seq}, time, event, outcome, cause, actor, subject, client_id, session, \
                 address, request_id, occurrences, mac FROM audit_log WHERE seq = 1"
            ))
            .await;
            let found = log.verify().await;
            let places: Vec<_> = found.findings.iter().map(|one| (one.seq, one.kind)).collect();
            assert_eq!(found.intact, Some(false));
            assert_eq!(places, [(seq, FindingKind::PutIn)], "{:?}", found.findings);
            for (order, beyond) in [(Order::Oldest, -9), (Order::Newest, i64::MAX)] {
                let listed = store::audit::matching(&log.db, &Filter::default(), order, beyond, 100)
                    .await
                    .expect("rows");
                assert_eq!(listed.len(), log.rows.len());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_log_of_several_batches_is_read_whole_and_its_cut_end_is_told_as_such() {
    both_databases(&MIGRATIONS, |db| async move {
        let log = Log::with(db, 2_500).await;
        for table in ["audit_log", "audit_head"] {
            log.sql(&format!("DELETE FROM {table}")).await;
        }
        let mut tx = log.db.begin().await.expect("begun");
        store::audit::begin(&mut tx, &log.chain.beginning())
            .await
            .expect("begun");
        for rows in log.rows.chunks(500) {
            store::audit::append(&mut tx, rows, &[0])
                .await
                .expect("appended");
        }
        tx.commit().await.expect("committed");
        let whole = log.verify().await;
        assert_eq!(
            (whole.intact, whole.rows, whole.checkpoints),
            (Some(true), 2_500, 625)
        );
        log.tamper(&Tampering::CutOff {
            from: 2_401,
            tidily: true,
        })
        .await;
        let cut = log.verify().await;
        let first = cut.findings.first().expect("a finding");
        assert_eq!(
            (first.seq, first.kind),
            (2_401, FindingKind::CutOff),
            "{cut:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_log_that_is_all_wrong_is_told_in_a_hundred_findings() {
    both_databases(&MIGRATIONS, |db| async move {
        let log = Log::with(db, 400).await;
        log.sql("DELETE FROM audit_head").await;
        let mut tx = log.db.begin().await.expect("begun");
        store::audit::begin(&mut tx, &log.chain.beginning())
            .await
            .expect("begun");
        store::audit::append(&mut tx, &log.rows, &[0])
            .await
            .expect("appended");
        tx.commit().await.expect("committed");
        log.sql("UPDATE audit_log SET cause = 'x'").await;
        let found = log.verify().await;
        assert_eq!((found.intact, found.findings.len()), (Some(false), 100));
    })
    .await;
}
