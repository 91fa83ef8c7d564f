//! Every RPC of a running server, called by everybody.

use std::time::Duration;

use prost::bytes::{Buf as _, Bytes};
use tonic::body::Body;
use tonic::client::{Grpc, GrpcService};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::StdError;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::refusal::DOMAIN;
use crate::rules::Rules;

/// A call that was not answered in this time was let in, and waits: a guard answers at once.
const PATIENCE: Duration = Duration::from_secs(2);
/// Whoever sends no token.
const NOBODY: &str = "nobody";

/// Calls every RPC of these descriptors over `channel`, once without a token (as `nobody`) and once as each of the
/// callers (a name and the value of their `authorization` entry, such as [`crate::testing::Draft::bearer`]), and fails
/// unless those were let in whom the table names: pairs of `notes.v1.NoteService/CreateNote` and names. A public method
/// names `nobody`, and all others as well.
///
/// Unlike [`crate::testing::assert_access`] it asks the server, and so finds a guard that is not mounted. Who is let in
/// reaches the handler, with an empty message.
///
/// # Panics
/// When the table and the server differ, or the table lacks an RPC; the message lists every difference.
#[expect(clippy::panic, reason = "an assertion for tests")]
pub async fn assert_let_in<T>(
    channel: T,
    descriptors: &[u8],
    callers: &[(&str, String)],
    table: &[(&str, &[&str])],
) where
    T: GrpcService<Body> + Clone,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    let rules = match Rules::from_descriptors(descriptors) {
        Ok(rules) => rules,
        Err(error) => panic!("{error}"),
    };
    let (mut wrong, mut known) = (Vec::new(), 0);
    for path in rules.iter().map(|(path, _)| path).chain(rules.unruled()) {
        let named = |row: &&(&str, &[&str])| path.strip_prefix('/') == Some(row.0);
        let Some((_, expected)) = table.iter().find(named) else {
            wrong.push(format!("{path}: not in the table"));
            continue;
        };
        known += 1;
        let everybody = callers
            .iter()
            .map(|(name, bearer)| (*name, Some(bearer.as_str())));
        for (name, bearer) in [(NOBODY, None)].into_iter().chain(everybody) {
            let refused = refused(channel.clone(), path, bearer).await;
            match (refused, expected.contains(&name)) {
                (Some(why), true) => wrong.push(format!("{path} as {name}: refused, {why}")),
                (None, false) => wrong.push(format!("{path} as {name}: let in")),
                _ => {}
            }
        }
    }
    if known != table.len() {
        wrong.push("the table has an RPC that is not there, or one twice".to_owned());
    }
    assert!(
        wrong.is_empty(),
        "who is let in differs:\n  {}",
        wrong.join("\n  ")
    );
}

/// Why the guard did not let the call in, if it did not.
async fn refused<T>(channel: T, path: &str, bearer: Option<&str>) -> Option<String>
where
    T: GrpcService<Body>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    let called = tokio::time::timeout(PATIENCE, call(channel, path, bearer)).await;
    let status = called.ok()?.err()?;
    let info = status.get_details_error_info();
    let reason = info
        .filter(|info| info.domain == DOMAIN)
        .map(|it| it.reason);
    match status.code() {
        // What a handler refuses with these looks the same from outside.
        Code::Unauthenticated | Code::PermissionDenied | Code::Unimplemented => {
            Some(reason.unwrap_or_else(|| format!("{status:?}")))
        }
        // A server that is not there lets nobody in.
        Code::Unavailable => Some(format!("{status:?}")),
        _ => None,
    }
}

async fn call<T>(channel: T, path: &str, bearer: Option<&str>) -> Result<(), Status>
where
    T: GrpcService<Body>,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<StdError> + Send,
{
    let mut request = Request::new(futures::stream::iter([()]));
    if let Some(bearer) = bearer {
        let entry = MetadataValue::try_from(bearer)
            .map_err(|_| Status::internal("a token that cannot be sent"))?;
        request.metadata_mut().insert("authorization", entry);
    }
    let path = http::uri::PathAndQuery::try_from(path)
        .map_err(|_| Status::internal("a path that cannot be sent"))?;
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.map_err(|error| {
        let error: StdError = error.into();
        Status::unavailable(error.to_string())
    })?;
    // A guard refuses before anything is answered; whatever comes after the beginning is the handler's.
    grpc.streaming(request, path, Empty).await.map(drop)
}

/// Sends an empty message of any type, and reads none.
struct Empty;

impl Codec for Empty {
    type Encode = ();
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Empty {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for Empty {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        message.advance(message.remaining());
        Ok(Some(()))
    }
}
