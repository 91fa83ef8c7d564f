//! The messages of `millgate.auth.v1.TrustService.Watch`, as far as a guard needs them. A test
//! holds them against the contract; the guard itself depends on no service.

use prost::{Message, Oneof};
use prost_types::Timestamp;

use crate::revocations::{Revocation, Target};

/// The path of the method.
pub(crate) const WATCH: &str = "/millgate.auth.v1.TrustService/Watch";

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchRequest {
    #[prost(oneof = "Said", tags = "1, 2, 3")]
    pub(crate) said: Option<Said>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Said {
    #[prost(message, tag = "1")]
    Hello(Hello),
    #[prost(message, tag = "2")]
    Keys(KnownKeys),
    #[prost(string, tag = "3")]
    AccessToken(String),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Hello {
    #[prost(string, tag = "1")]
    pub(crate) instance: String,
    #[prost(string, tag = "2")]
    pub(crate) feed: String,
    #[prost(int64, tag = "3")]
    pub(crate) sequence: i64,
    #[prost(string, repeated, tag = "4")]
    pub(crate) key_ids: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KnownKeys {
    #[prost(string, repeated, tag = "1")]
    pub(crate) key_ids: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WatchResponse {
    #[prost(int64, tag = "1")]
    pub(crate) sequence: i64,
    #[prost(oneof = "Told", tags = "2, 3, 4, 5")]
    pub(crate) told: Option<Told>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum Told {
    #[prost(message, tag = "2")]
    Snapshot(SnapshotPart),
    #[prost(message, tag = "3")]
    Revoked(WireRevocation),
    #[prost(message, tag = "4")]
    Key(KeyChange),
    #[prost(message, tag = "5")]
    Heartbeat(Heartbeat),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SnapshotPart {
    #[prost(string, tag = "1")]
    pub(crate) feed: String,
    #[prost(message, repeated, tag = "2")]
    pub(crate) revocations: Vec<WireRevocation>,
    #[prost(bool, tag = "3")]
    pub(crate) last: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct WireRevocation {
    #[prost(oneof = "WireTarget", tags = "1, 2, 3, 4, 5")]
    pub(crate) target: Option<WireTarget>,
    #[prost(message, optional, tag = "6")]
    pub(crate) expire_time: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(crate) enum WireTarget {
    #[prost(string, tag = "1")]
    TokenId(String),
    #[prost(string, tag = "2")]
    SessionId(String),
    #[prost(message, tag = "3")]
    User(UserLimit),
    #[prost(message, tag = "4")]
    Service(ServiceLimit),
    #[prost(string, tag = "5")]
    KeyId(String),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct UserLimit {
    #[prost(int64, tag = "1")]
    pub(crate) user_id: i64,
    #[prost(int64, tag = "2")]
    pub(crate) generation: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ServiceLimit {
    #[prost(string, tag = "1")]
    pub(crate) client_id: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) issued_until: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct KeyChange {
    #[prost(string, tag = "1")]
    pub(crate) key_id: String,
    #[prost(int32, tag = "2")]
    pub(crate) state: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Heartbeat {}

impl WireRevocation {
    /// What it says to a guard; nothing, where it is of a kind that a later version knows.
    pub(crate) fn read(self) -> Option<Revocation> {
        let target = match self.target? {
            WireTarget::TokenId(id) => Target::Token(id),
            WireTarget::SessionId(id) => Target::Session(id),
            WireTarget::User(limit) => Target::User {
                subject: limit.user_id.to_string(),
                generation: limit.generation,
            },
            WireTarget::Service(limit) => Target::Service {
                client_id: limit.client_id,
                issued_until: limit.issued_until.map_or(i64::MAX, |time| time.seconds),
            },
            WireTarget::KeyId(id) => Target::Key(id),
        };
        // Without an end, or within a second of it: kept rather too long.
        let end = |time: Timestamp| time.seconds.saturating_add(1);
        Some(Revocation {
            target,
            expires_at: self.expire_time.map_or(i64::MAX, end),
        })
    }
}

#[cfg(test)]
mod tests {
    use millgate_contract::auth::v1 as contract;

    use super::*;

    /// What our messages say, read by the contract's.
    fn same<T: Message + Default>(ours: &impl Message) -> T {
        let bytes = ours.encode_to_vec();
        let theirs = T::decode(bytes.as_slice()).unwrap();
        assert_eq!(theirs.encode_to_vec(), bytes);
        theirs
    }

    #[test]
    fn requests_mean_the_same_to_the_contract() {
        let hello = WatchRequest {
            said: Some(Said::Hello(Hello {
                instance: "i".to_owned(),
                feed: "f".to_owned(),
                sequence: 7,
                key_ids: vec!["k".to_owned()],
            })),
        };
        let theirs: contract::WatchRequest = same(&hello);
        let Some(contract::watch_request::Said::Hello(hello)) = theirs.said else {
            panic!("{theirs:?}");
        };
        assert_eq!((hello.instance.as_str(), hello.feed.as_str()), ("i", "f"));
        assert_eq!((hello.sequence, hello.key_ids.len()), (7, 1));
        let keys = Said::Keys(KnownKeys {
            key_ids: vec!["k".to_owned()],
        });
        let theirs: contract::WatchRequest = same(&WatchRequest { said: Some(keys) });
        assert!(matches!(
            theirs.said,
            Some(contract::watch_request::Said::Keys(_))
        ));
        let token = Said::AccessToken("t".to_owned());
        let theirs: contract::WatchRequest = same(&WatchRequest { said: Some(token) });
        assert!(matches!(
            theirs.said,
            Some(contract::watch_request::Said::AccessToken(_))
        ));
    }

    #[test]
    fn answers_mean_the_same_as_in_the_contract() {
        use contract::revocation::Target as Theirs;
        use contract::watch_response::Told as Tell;

        let time = |seconds| Some(Timestamp { seconds, nanos: 1 });
        let targets = [
            (Theirs::TokenId("a".into()), Target::Token("a".into())),
            (Theirs::SessionId("a".into()), Target::Session("a".into())),
            (
                Theirs::User(contract::UserLimit {
                    user_id: 7,
                    generation: 3,
                }),
                Target::User {
                    subject: "7".into(),
                    generation: 3,
                },
            ),
            (
                Theirs::Service(contract::ServiceLimit {
                    client_id: "c".into(),
                    issued_until: time(5),
                }),
                Target::Service {
                    client_id: "c".into(),
                    issued_until: 5,
                },
            ),
            (Theirs::KeyId("k".into()), Target::Key("k".into())),
        ];
        for (theirs, ours) in targets {
            let revocation = contract::Revocation {
                target: Some(theirs),
                expire_time: time(9),
            };
            let part = contract::SnapshotPart {
                feed: "f".into(),
                revocations: vec![revocation.clone()],
                last: true,
            };
            for told in [Tell::Revoked(revocation), Tell::Snapshot(part)] {
                let answer: WatchResponse = same(&contract::WatchResponse {
                    sequence: 4,
                    told: Some(told),
                });
                let read = match answer.told {
                    Some(Told::Revoked(revocation)) => revocation.read(),
                    Some(Told::Snapshot(mut part)) if part.last && part.feed == "f" => {
                        part.revocations.remove(0).read()
                    }
                    other => panic!("{other:?}"),
                };
                let expected = Revocation {
                    target: ours.clone(),
                    expires_at: 10,
                };
                assert_eq!((answer.sequence, read), (4, Some(expected)));
            }
        }
        let key = Tell::Key(contract::KeyChange {
            key_id: "k".into(),
            state: contract::KeyState::Announced.into(),
        });
        for told in [key, Tell::Heartbeat(contract::Heartbeat {})] {
            let answer: WatchResponse = same(&contract::WatchResponse {
                sequence: 4,
                told: Some(told),
            });
            assert!(matches!(
                answer.told,
                Some(Told::Key(_) | Told::Heartbeat(_))
            ));
        }
    }

    #[test]
    fn an_unknown_kind_is_no_revocation_and_a_missing_end_is_none() {
        let empty = WireRevocation {
            target: None,
            expire_time: None,
        };
        assert_eq!(empty.read(), None);
        let endless = WireRevocation {
            target: Some(WireTarget::TokenId("a".into())),
            expire_time: None,
        };
        assert_eq!(endless.read().unwrap().expires_at, i64::MAX);
    }
}
