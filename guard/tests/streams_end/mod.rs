//! A stream ends when its token does, and a unary call in flight does not.

#![expect(clippy::panic, reason = "a test may fail")]

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use millgate_guard::testing::{Defect, Draft};
use millgate_guard::{
    KeyAlgorithm, KeyRing, LiveRevocations, Revocation, Revocations as _, SystemClock,
    SystemEntropy, Target,
};
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt as _;

use crate::desk::{Desk, NOW, Note};

const IN_TIME: Duration = Duration::from_secs(5);

/// A desk with revocations that the test makes.
async fn desk() -> (Desk, Arc<LiveRevocations>) {
    let mut known = None;
    let desk = Desk::start_with(|guard| {
        let live = Arc::new(LiveRevocations::new(guard.verifier().clock().clone()));
        known = Some(live.clone());
        guard.with_revocations(live)
    })
    .await;
    (desk, known.unwrap())
}

/// Opens a stream of the desk, and reads nothing yet.
async fn open(
    desk: &Desk,
    method: &str,
    bearer: Option<String>,
    notes: impl Stream<Item = Note> + Send + 'static,
) -> Result<Streaming<Note>, Status> {
    let uri = format!("http://{}", desk.address);
    let channel = Channel::from_shared(uri).unwrap().connect().await.unwrap();
    let mut request = Request::new(notes);
    if let Some(bearer) = bearer {
        let entry = bearer.parse().unwrap();
        request.metadata_mut().insert("authorization", entry);
    }
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let path = format!("/test.desk.v1.DeskService/{method}")
        .parse()
        .unwrap();
    let codec = ProstCodec::<Note, Note>::default();
    let answer = grpc.streaming(request, path, codec).await?;
    Ok(answer.into_inner())
}

fn one() -> impl Stream<Item = Note> {
    futures::stream::iter([Note::default()])
}

fn follower(desk: &Desk) -> Draft<'_> {
    desk.issuer.user(7, "user").scope("desk.follow")
}

/// A stream that has answered once, and waits.
async fn followed(desk: &Desk, draft: &Draft<'_>) -> Streaming<Note> {
    let mut stream = open(desk, "Follow", Some(draft.bearer()), one())
        .await
        .unwrap();
    assert_eq!(stream.message().await.unwrap().unwrap().text, "hello");
    stream
}

/// How a stream ended that was open until now.
async fn ended(stream: &mut Streaming<Note>) -> (Code, String) {
    let message = tokio::time::timeout(IN_TIME, stream.message()).await;
    let status = message.expect("an end in time").expect_err("no message");
    let info = status.get_details_error_info().expect("an ErrorInfo");
    (status.code(), info.reason)
}

async fn goes_on(stream: &mut Streaming<Note>) {
    let quiet = tokio::time::timeout(Duration::from_millis(150), stream.message()).await;
    assert!(quiet.is_err(), "{quiet:?}");
}

async fn left(desk: &Desk) {
    for _ in 0..500 {
        if desk.reached() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("a handler still runs");
}

fn unauthenticated(reason: &str) -> (Code, String) {
    (Code::Unauthenticated, reason.to_owned())
}

fn revoked(target: Target) -> Revocation {
    Revocation {
        target,
        expires_at: NOW + 900,
    }
}

#[tokio::test]
async fn a_stream_is_cut_when_its_token_expires() {
    let (desk, known) = desk().await;
    let mut stream = followed(&desk, &follower(&desk)).await;
    desk.clock.advance(Duration::from_secs(899));
    // Whatever wakes the stream, it is not over yet.
    known.add(&revoked(Target::Token("another".to_owned())));
    goes_on(&mut stream).await;
    desk.clock.advance(Duration::from_secs(1));
    assert_eq!(ended(&mut stream).await, unauthenticated("TOKEN_EXPIRED"));
    assert!(stream.message().await.unwrap().is_none());
    left(&desk).await;
}

#[tokio::test]
async fn a_stream_is_cut_by_every_revocation_that_hits_its_token_and_no_other() {
    let (desk, known) = desk().await;
    let key = desk.issuer.ring().current().active_kid().to_owned();
    let cases = [
        (
            Some(Target::Session("session-of-7".to_owned())),
            "SESSION_ENDED",
        ),
        (None, "TOKEN_REVOKED"),
        (
            Some(Target::User {
                subject: "7".to_owned(),
                generation: 1,
            }),
            "TOKEN_REVOKED",
        ),
        (Some(Target::Key(key)), "TOKEN_REVOKED"),
    ];
    for (target, reason) in cases {
        known.replace(&[]);
        let (draft, other) = (
            follower(&desk),
            desk.issuer.user(8, "user").scope("desk.follow"),
        );
        let mut stream = followed(&desk, &draft).await;
        let mut bystander = followed(&desk, &other).await;
        let by_key = matches!(target, Some(Target::Key(_)));
        let target = target.unwrap_or(Target::Token(draft.claims().token_id.clone()));
        known.add(&revoked(target));
        assert_eq!(ended(&mut stream).await, unauthenticated(reason));
        if by_key {
            assert_eq!(ended(&mut bystander).await, unauthenticated(reason));
        } else {
            goes_on(&mut bystander).await;
        }
        drop(bystander);
        left(&desk).await;
        // And it does not begin again.
        let again = open(&desk, "Follow", Some(draft.bearer()), one()).await;
        let refused = again.map(drop).unwrap_err();
        assert_eq!(refused.get_details_error_info().unwrap().reason, reason);
    }
}

#[tokio::test]
async fn a_stream_is_cut_when_its_key_leaves_the_ring_and_not_when_another_joins_it() {
    let (desk, known) = desk().await;
    let mut stream = followed(&desk, &follower(&desk)).await;
    let ring = desk.issuer.ring();
    let announced = ring
        .current()
        .announce(KeyAlgorithm::EdDsa, &SystemEntropy, &SystemClock);
    ring.replace(announced.unwrap().0).unwrap();
    // Whatever wakes the stream, its key is still there.
    known.add(&revoked(Target::Token("another".to_owned())));
    goes_on(&mut stream).await;
    let jwks = KeyRing::generate(&SystemEntropy, &SystemClock);
    ring.replace(KeyRing::from_jwks(jwks.expose_secret()).unwrap())
        .unwrap();
    assert_eq!(ended(&mut stream).await, unauthenticated("TOKEN_REVOKED"));
    left(&desk).await;
}

#[tokio::test]
async fn a_service_that_is_switched_off_loses_its_streams() {
    let (desk, known) = desk().await;
    let mut stream = followed(&desk, &desk.issuer.service("shop", "desk.follow")).await;
    known.add(&revoked(Target::Service {
        client_id: "shop".to_owned(),
        issued_until: NOW,
    }));
    assert_eq!(ended(&mut stream).await, unauthenticated("TOKEN_REVOKED"));
}

#[tokio::test]
async fn a_stream_is_cut_before_its_handler_has_answered() {
    is_cut_while_it_is_not_answered("Ponder", one()).await;
}

/// Who sends an import would otherwise go on for as long as they like.
#[tokio::test]
async fn a_stream_of_requests_is_cut_like_one_of_answers() {
    let endless = one().chain(futures::stream::pending());
    is_cut_while_it_is_not_answered("Collect", endless).await;
}

async fn is_cut_while_it_is_not_answered(
    method: &str,
    notes: impl Stream<Item = Note> + Send + 'static,
) {
    let (desk, known) = desk().await;
    let draft = follower(&desk);
    let opening = open(&desk, method, Some(draft.bearer()), notes);
    let cutting = async {
        while desk.reached() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        known.add(&revoked(Target::Session("session-of-7".to_owned())));
    };
    let (opened, ()) = tokio::time::timeout(IN_TIME, async { tokio::join!(opening, cutting) })
        .await
        .expect("an end in time");
    let status = opened.map(drop).unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
    assert_eq!(
        status.get_details_error_info().unwrap().reason,
        "SESSION_ENDED"
    );
    left(&desk).await;
}

#[tokio::test]
async fn streams_end_when_nothing_is_known_about_revocations_any_more_if_that_was_asked_for() {
    let desk = Desk::start_with(|guard| {
        let clock = guard.verifier().clock().clone();
        let strict = LiveRevocations::new(clock).with_max_staleness(Duration::from_secs(60));
        strict.heard();
        guard.with_revocations(Arc::new(strict))
    })
    .await;
    let mut stream = followed(&desk, &follower(&desk)).await;
    desk.clock.advance(Duration::from_secs(61));
    let (code, reason) = ended(&mut stream).await;
    assert_eq!(
        (code, reason.as_str()),
        (Code::Unavailable, "REVOCATION_UNAVAILABLE")
    );
}

#[tokio::test]
async fn a_public_stream_has_no_token_to_end_with() {
    let (desk, known) = desk().await;
    let draft = follower(&desk);
    let mut stream = open(&desk, "Listen", Some(draft.bearer()), one())
        .await
        .unwrap();
    stream.message().await.unwrap();
    known.add(&revoked(Target::Session("session-of-7".to_owned())));
    desk.clock.advance(Duration::from_secs(1000));
    goes_on(&mut stream).await;
}

#[tokio::test]
async fn a_stream_lives_on_with_a_new_token_of_the_same_subject_only() {
    let (desk, known) = desk().await;
    let first = follower(&desk);
    let (say, said) = mpsc::channel::<Note>(1);
    let notes = futures::stream::unfold(said, |mut said| async {
        said.recv().await.map(|note| (note, said))
    });
    let mut stream = open(&desk, "Renew", Some(first.bearer()), notes)
        .await
        .unwrap();
    let mut tell = async |text: String| {
        say.send(Note { text }).await.unwrap();
        stream.message().await.map(|note| note.unwrap().text)
    };
    desk.clock.advance(Duration::from_secs(800));
    let other = desk.issuer.user(8, "user").scope("desk.follow");
    let service = desk.issuer.service("7x", "desk.follow");
    let unscoped = desk.issuer.user(7, "user").scope("desk.other");
    let revoked_one = follower(&desk);
    known.add(&revoked(Target::Token(
        revoked_one.claims().token_id.clone(),
    )));
    for (bad, reason) in [
        (other.token(), "TOKEN_INVALID"),
        (service.token(), "TOKEN_INVALID"),
        (unscoped.token(), "SCOPE_DENIED"),
        (
            follower(&desk).defect(Defect::ForeignKey).token(),
            "TOKEN_INVALID",
        ),
        (follower(&desk).expired().token(), "TOKEN_EXPIRED"),
        (revoked_one.token(), "TOKEN_REVOKED"),
        (String::new(), "TOKEN_INVALID"),
    ] {
        assert_eq!(tell(bad).await.unwrap(), reason);
    }
    let second = follower(&desk);
    let renewed = tell(second.token()).await.unwrap();
    assert_eq!(renewed, second.claims().token_id);
    // The first token's end no longer counts, nor its revocation; the second's does.
    desk.clock.advance(Duration::from_secs(200));
    known.add(&revoked(Target::Token(first.claims().token_id.clone())));
    assert_eq!(tell(String::new()).await.unwrap(), "TOKEN_INVALID");
    desk.clock.advance(Duration::from_secs(700));
    assert_eq!(ended(&mut stream).await, unauthenticated("TOKEN_EXPIRED"));
}

#[tokio::test]
async fn two_hundred_waiting_streams_are_asked_and_one_is_cut() {
    let (desk, known) = desk().await;
    let mut streams = Vec::new();
    let uri = format!("http://{}", desk.address);
    let channel = Channel::from_shared(uri).unwrap().connect().await.unwrap();
    for id in 1..=200 {
        let mut request = Request::new(one());
        let bearer = desk.issuer.user(id, "user").scope("desk.follow").bearer();
        request
            .metadata_mut()
            .insert("authorization", bearer.parse().unwrap());
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await.unwrap();
        let path = "/test.desk.v1.DeskService/Follow".parse().unwrap();
        let codec = ProstCodec::<Note, Note>::default();
        let mut stream = grpc
            .streaming(request, path, codec)
            .await
            .unwrap()
            .into_inner();
        stream.message().await.unwrap();
        streams.push(stream);
    }
    assert_eq!(desk.reached(), 200);
    known.add(&revoked(Target::Session("session-of-100".to_owned())));
    assert_eq!(
        ended(&mut streams[99]).await,
        unauthenticated("SESSION_ENDED")
    );
    assert_eq!(desk.reached(), 199);
    assert!(known.changes().is_some());
}
