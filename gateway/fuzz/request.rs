//! Bytes as a request line and a body: every one is routed, bound or refused as the caller's fault, and what is bound
//! can be written as JSON again. The fuzz target and a test of the gateway call it.

use gateway::api::Api;
use gateway::binder::{Parts, bind};
use gateway::json::encode;
use gateway::preconditions::Preconditions;
use gateway::router::Found;
use millgate_contract::DESCRIPTORS;
use std::sync::LazyLock;
use tonic::Code;

static API: LazyLock<Api> =
    LazyLock::new(|| Api::new(DESCRIPTORS, |_| Some(0)).expect("the contract is served"));

/// `METHOD target\n` and the body after it.
fn parts(bytes: &[u8]) -> Option<(http::Method, &str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    let (method, target) = line.split_once(' ')?;
    Some((method.parse().ok()?, target, &bytes[end + 1..]))
}

/// Whether the bytes were a request for a method. Panics where the request breaks something.
pub(crate) fn is_bound_or_refused(bytes: &[u8]) -> bool {
    let Some((method, target, body)) = parts(bytes) else {
        return false;
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Found::Route { target, values, .. } = API.router.find(&method, path) else {
        return false;
    };
    let parts = Parts {
        method: &method,
        path_values: &values,
        query,
        body,
        media_type: "application/json",
        preconditions: &Preconditions::default(),
    };
    match bind(target, &parts) {
        Ok(message) => {
            encode(&message).expect("what JSON made has JSON");
        }
        Err(problem) => assert!(
            matches!(
                problem.code,
                Code::InvalidArgument | Code::ResourceExhausted
            ),
            "{problem:?}"
        ),
    }
    true
}
