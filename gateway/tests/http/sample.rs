//! A service that is not ours, and uses what the contract does not.

use gateway::api::{Api, Binding};
use gateway::binder::{Parts, bind};
use gateway::preconditions::Preconditions;
use gateway::problem::Problem;
use gateway::router::Found;
use http::Method;
use prost_reflect::DynamicMessage;
use serde_json::Value;
use std::sync::{Arc, LazyLock};

pub(crate) static DESCRIPTORS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut compiler = protox::Compiler::new(["tests/http/proto", "../proto"]).unwrap();
    compiler
        .include_imports(true)
        .open_file("sample.proto")
        .unwrap();
    compiler.encode_file_descriptor_set()
});

pub(crate) static API: LazyLock<Api> = LazyLock::new(|| {
    Api::new(&DESCRIPTORS, |name| (name == "sample.Library").then_some(0)).unwrap()
});

/// The OpenAPI document of the sample.
pub(crate) fn openapi() -> Value {
    gateway::openapi::document(&API)
}

/// The message that a request makes, or why it makes none.
pub(crate) fn message(
    method: &str,
    target: &str,
    body: impl AsRef<[u8]>,
) -> Result<DynamicMessage, Problem> {
    let method: Method = method.parse().unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Found::Route { target, values, .. } = API.router.find(&method, path) else {
        panic!("{method} {path} has no route");
    };
    let binding: &Arc<Binding> = target;
    bind(
        binding,
        &Parts {
            method: &method,
            path_values: &values,
            query,
            body: body.as_ref(),
            media_type: "application/json",
            preconditions: &Preconditions::default(),
        },
    )
}
