//! The audit log's rows, and the keyed chain that holds them together.

use millgate_platform::ServiceSecrets;
use ring::hmac;

use super::Micros;

/// An authentication code: HMAC-SHA256.
pub(crate) type Mac = [u8; 32];

/// One event as it is written. All texts are short: ids of ours, names of events, addresses; never what somebody typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// When it happened.
    pub(crate) time: Micros,
    /// What was done or tried, such as `login`.
    pub(crate) event: String,
    /// `done` or `refused`.
    pub(crate) outcome: String,
    /// Why; empty where there is nothing to say.
    pub(crate) cause: String,
    /// The caller's key, such as `user:7`; empty for somebody who has not proved who they are.
    pub(crate) actor: String,
    /// Whose account it was, where that is known.
    pub(crate) subject: Option<i64>,
    /// The service account that it was about.
    pub(crate) client_id: String,
    /// The session that it was about.
    pub(crate) session: String,
    /// The client's address; a network for a sum over one.
    pub(crate) address: String,
    /// The request that it was part of.
    pub(crate) request_id: String,
    /// How many equal events it stands for.
    pub(crate) occurrences: i64,
}

impl Record {
    /// The bytes that a code covers: every field with its length before it, so that no two rows have the same.
    fn encode(&self, into: &mut Vec<u8>) {
        into.extend(self.time.to_be_bytes());
        let texts = [
            &self.event,
            &self.outcome,
            &self.cause,
            &self.actor,
            &self.client_id,
            &self.session,
            &self.address,
            &self.request_id,
        ];
        for text in texts {
            into.extend((text.len() as u64).to_be_bytes());
            into.extend(text.as_bytes());
        }
        match self.subject {
            None => into.push(0),
            Some(id) => {
                into.push(1);
                into.extend(id.to_be_bytes());
            }
        }
        into.extend(self.occurrences.to_be_bytes());
    }
}

/// Where a chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// The number of the last row; 0 for an empty chain.
    pub(crate) seq: i64,
    /// Its code.
    pub(crate) mac: Mac,
}

/// A row of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sealed {
    /// Its number, from 1 without gaps.
    pub(crate) seq: i64,
    /// The event.
    pub(crate) record: Record,
    /// The code over the row and the code before it.
    pub(crate) mac: Mac,
}

/// A signed word on where the chain was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    /// The last row then.
    pub(crate) head: Head,
    /// When it was made.
    pub(crate) time: Micros,
    /// The signature.
    pub(crate) signature: Mac,
}

/// The keys of the audit log. Whoever can write the database but has not these can neither forge nor mend a chain.
pub(crate) struct Chain {
    rows: hmac::Key,
    pending: hmac::Key,
    checkpoints: hmac::Key,
}

impl Chain {
    /// From the service's secrets: a key for each use.
    pub(crate) fn new(secrets: &ServiceSecrets) -> Self {
        let key = |label| hmac::Key::new(hmac::HMAC_SHA256, secrets.derive(label).as_slice());
        Self {
            rows: key("audit chain"),
            pending: key("audit pending"),
            checkpoints: key("audit checkpoints"),
        }
    }

    /// The head of an empty chain.
    pub(crate) fn beginning(&self) -> Head {
        Head {
            seq: 0,
            mac: sign(&self.rows, b"beginning"),
        }
    }

    /// The row that follows `head`.
    pub(crate) fn seal(&self, head: Head, record: Record) -> Sealed {
        let seq = head.seq + 1;
        let mac = sign(&self.rows, &link(&head.mac, seq, &record));
        Sealed { seq, record, mac }
    }

    /// Whether the row follows a row of this code.
    pub(crate) fn fits(&self, before: &Mac, row: &Sealed) -> bool {
        let bytes = link(before, row.seq, &row.record);
        hmac::verify(&self.rows, &bytes, &row.mac).is_ok()
    }

    /// The code of an event that waits to be sealed.
    pub(crate) fn stamp(&self, record: &Record) -> Mac {
        sign(&self.pending, &alone(record))
    }

    /// Whether an event that waits to be sealed is one of ours.
    pub(crate) fn is_stamped(&self, record: &Record, mac: &[u8]) -> bool {
        hmac::verify(&self.pending, &alone(record), mac).is_ok()
    }

    /// A signed word on where the chain is.
    pub(crate) fn checkpoint(&self, head: Head, time: Micros) -> Checkpoint {
        Checkpoint {
            head,
            time,
            signature: sign(&self.checkpoints, &place(head, time)),
        }
    }

    /// Whether a checkpoint is one of ours.
    pub(crate) fn is_signed(&self, checkpoint: &Checkpoint) -> bool {
        let bytes = place(checkpoint.head, checkpoint.time);
        hmac::verify(&self.checkpoints, &bytes, &checkpoint.signature).is_ok()
    }
}

fn link(before: &Mac, seq: i64, record: &Record) -> Vec<u8> {
    let mut bytes = before.to_vec();
    bytes.extend(seq.to_be_bytes());
    record.encode(&mut bytes);
    bytes
}

fn alone(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

fn place(head: Head, time: Micros) -> Vec<u8> {
    let mut bytes = head.seq.to_be_bytes().to_vec();
    bytes.extend(head.mac);
    bytes.extend(time.to_be_bytes());
    bytes
}

fn sign(key: &hmac::Key, bytes: &[u8]) -> Mac {
    let mut mac = Mac::default();
    mac.copy_from_slice(hmac::sign(key, bytes).as_ref());
    mac
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn chain() -> Chain {
        Chain::new(&ServiceSecrets::from_master(&[7; 32]))
    }

    pub(crate) fn record(time: Micros) -> Record {
        Record {
            time,
            event: "login".into(),
            outcome: "done".into(),
            cause: String::new(),
            actor: "user:7".into(),
            subject: Some(7),
            client_id: String::new(),
            session: "s".into(),
            address: "::1".into(),
            request_id: "r".into(),
            occurrences: 1,
        }
    }

    fn any_record() -> impl Strategy<Value = Record> {
        let texts = proptest::array::uniform8("[a-c\u{0}]{0,3}");
        (0..3_i64, texts, proptest::option::of(0..3_i64), 1..3_i64).prop_map(
            |(time, texts, subject, occurrences)| {
                let [
                    event,
                    outcome,
                    cause,
                    actor,
                    client_id,
                    session,
                    address,
                    request_id,
                ] = texts;
                Record {
                    time,
                    event,
                    outcome,
                    cause,
                    actor,
                    subject,
                    client_id,
                    session,
                    address,
                    request_id,
                    occurrences,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn two_records_have_the_same_bytes_only_when_they_are_the_same(one in any_record(), other in any_record()) {
            prop_assert_eq!(alone(&one) == alone(&other), one == other);
        }

        #[test]
        fn a_text_that_moves_into_the_next_field_is_another_record(text in "[a-z]{1,8}") {
            let mut one = record(1);
            one.cause.clone_from(&text);
            one.actor.clear();
            let mut other = record(1);
            other.cause.clear();
            other.actor = text;
            prop_assert_ne!(alone(&one), alone(&other));
        }
    }

    #[test]
    fn a_row_fits_behind_its_own_predecessor_only() {
        let chain = chain();
        let first = chain.seal(chain.beginning(), record(1));
        let head = Head {
            seq: first.seq,
            mac: first.mac,
        };
        let second = chain.seal(head, record(2));
        assert!(chain.fits(&chain.beginning().mac, &first) && chain.fits(&first.mac, &second));
        assert!(!chain.fits(&chain.beginning().mac, &second));
        let other = Chain::new(&ServiceSecrets::from_master(&[8; 32]));
        assert!(!other.fits(&first.mac, &second), "another key");
    }

    #[test]
    fn a_code_for_one_use_is_none_for_another() {
        let chain = chain();
        let record = record(1);
        let sealed = chain.seal(chain.beginning(), record.clone());
        assert!(!chain.is_stamped(&record, &sealed.mac));
        assert!(chain.is_stamped(&record, &chain.stamp(&record)));
        let mut checkpoint = chain.checkpoint(chain.beginning(), 5);
        assert!(chain.is_signed(&checkpoint));
        checkpoint.time += 1;
        assert!(!chain.is_signed(&checkpoint));
    }
}
