//! Every cell of the access table, called on the running services.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use bytes::{Buf, BufMut, Bytes};
use millgate_contract::auth::v1::Role;
use millgate_guard::testing::Issuer;
use millgate_guard::{FilePermissions, KeyRing, SharedRing, SystemClock};
use std::sync::Arc;
use support::{World, channel, reason};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

on_both_databases!(
    every_cell_of_the_access_table_holds,
    what_nobody_serves_is_refused_without_a_token
);

/// What the guard answers where it does not let a call through.
const REFUSALS: [&str; 6] = [
    "TOKEN_MISSING",
    "TOKEN_INVALID",
    "ROLE_DENIED",
    "SCOPE_DENIED",
    "PRINCIPAL_KIND_DENIED",
    "POLICY_MISSING",
];

/// A row of `docs/access.md`.
struct Row {
    path: String,
    nobody: bool,
    roles: Vec<(String, bool)>,
    /// The scope that lets a service in; `Some("")` where no token is looked at.
    service: Option<String>,
}

fn table() -> Vec<Row> {
    let page = include_str!("../../docs/access.md");
    let (mut service, mut columns, mut rows) = ("", Vec::new(), Vec::new());
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            service = name;
        } else if let Some(line) = line
            .strip_prefix("| ")
            .and_then(|line| line.strip_suffix(" |"))
        {
            let cells: Vec<&str> = line.split(" | ").map(str::trim).collect();
            match cells[0] {
                "RPC" => columns = cells,
                "---" => {}
                method => rows.push(row(format!("/{service}/{method}"), &columns, &cells)),
            }
        }
    }
    // These end the session of the token they get: they come last, so that the others still have theirs.
    rows.sort_by_key(|row| {
        row.path.ends_with("/Logout") || row.path.ends_with("/LogoutEverywhere")
    });
    rows
}

fn row(path: String, columns: &[&str], cells: &[&str]) -> Row {
    let cell = |name: &str| {
        cells[columns
            .iter()
            .position(|column| *column == name)
            .expect("a column")]
    };
    let roles = ["customer", "mechanic", "user", "admin"]
        .map(|role| (role.to_owned(), cell(role) == "yes"));
    let service = match cell("service") {
        "no" => None,
        "yes" => Some(String::new()),
        scope => Some(
            scope
                .strip_prefix("with `")
                .and_then(|scope| scope.strip_suffix('`'))
                .expect("a scope")
                .to_owned(),
        ),
    };
    Row {
        path,
        nobody: cell("nobody") == "yes",
        roles: roles.to_vec(),
        service,
    }
}

async fn every_cell_of_the_access_table_holds(world: World) {
    let rows = table();
    let described = millgate_guard::Rules::from_descriptors(millgate_contract::DESCRIPTORS)
        .unwrap()
        .iter()
        .count();
    assert_eq!(rows.len(), described, "the table has a row for every RPC");

    let mut tokens = Vec::new();
    for (name, role) in [
        ("customer", Role::Customer),
        ("mechanic", Role::Mechanic),
        ("user", Role::User),
        ("admin", Role::Admin),
    ] {
        tokens.push((name, world.person(&format!("the-{name}"), role).await));
    }
    let issuer = issuer(&world);
    let mut called = 0;
    for row in &rows {
        let mut expect =
            |who: &str, allowed: bool, refusals: &[&str], answer: Result<(), tonic::Status>| {
                called += 1;
                let got = answer.as_ref().err().map(reason).unwrap_or_default();
                if allowed {
                    assert!(
                        !REFUSALS.contains(&got.as_str()),
                        "{} as {who}: {got}, but the table says yes",
                        row.path
                    );
                } else {
                    assert!(
                        refusals.contains(&got.as_str()),
                        "{} as {who}: {got}",
                        row.path
                    );
                }
            };
        expect(
            "nobody",
            row.nobody,
            &["TOKEN_MISSING"],
            call(&world, &row.path, None).await,
        );
        for (role, allowed) in &row.roles {
            let token = tokens
                .iter()
                .find(|(name, _)| name == role)
                .map(|(_, token)| token.as_str());
            expect(
                role,
                *allowed,
                // A method for services names the kind.
                &["ROLE_DENIED", "PRINCIPAL_KIND_DENIED"],
                call(&world, &row.path, token).await,
            );
        }
        let other = issuer
            .service("factory-service", "some.other.scope")
            .token();
        let unscoped = issuer.service("factory-service", "").token();
        match row.service.as_deref() {
            // No scope opens it, so the guard may name the kind, the role or the scope.
            None => {
                let answer = call(&world, &row.path, Some(&other)).await.unwrap_err();
                let got = reason(&answer);
                assert!(
                    ["PRINCIPAL_KIND_DENIED", "ROLE_DENIED", "SCOPE_DENIED"]
                        .contains(&got.as_str()),
                    "{}: {got}",
                    row.path
                );
                called += 1;
            }
            Some("") => expect(
                "a service",
                true,
                &[],
                call(&world, &row.path, Some(&other)).await,
            ),
            Some(scope) => {
                let scoped = issuer.service("factory-service", scope).token();
                expect(
                    "a service with the scope",
                    true,
                    &[],
                    call(&world, &row.path, Some(&scoped)).await,
                );
                expect(
                    "a service with another scope",
                    false,
                    &["SCOPE_DENIED"],
                    call(&world, &row.path, Some(&other)).await,
                );
                expect(
                    "a service without a scope",
                    false,
                    &["SCOPE_DENIED"],
                    call(&world, &row.path, Some(&unscoped)).await,
                );
            }
        }
    }
    assert!(called >= rows.len() * 6, "{called} cells were called");
}

async fn what_nobody_serves_is_refused_without_a_token(world: World) {
    let admin = world.admin().await;
    for path in [
        "/millgate.auth.v1.AuthService/NoSuchMethod",
        "/millgate.auth.v1.NoSuchService/Login",
        "/millgate.factory.v1.OrderService/PlaceOrder/",
        "/",
    ] {
        let refused = call(&world, path, None).await.unwrap_err();
        assert_eq!(reason(&refused), "TOKEN_MISSING", "{path}");
        let known = call(&world, path, Some(&admin)).await.unwrap_err();
        assert_eq!(
            known.code(),
            tonic::Code::Unimplemented,
            "{path}: {known:?}"
        );
    }
}

/// Mints tokens with the very ring that the running services verify with.
fn issuer(world: &World) -> Issuer {
    let ring = KeyRing::load(
        &world.data_folder().join("keys.json"),
        FilePermissions::Private,
    )
    .expect("the ring in the data folder");
    Issuer::over(SharedRing::new(ring), Arc::new(SystemClock))
}

/// Calls any method with an empty message, and waits for the beginning of its answer: a stream may have no end.
async fn call(world: &World, path: &str, token: Option<&str>) -> Result<(), tonic::Status> {
    let address = if path.contains(".factory.") {
        &world.addresses.factory
    } else {
        &world.addresses.auth
    };
    let mut client = tonic::client::Grpc::new(channel(address));
    client.ready().await.expect("the service is there");
    let request = match token {
        Some(token) => support::bearing(token, Bytes::new()),
        None => tonic::Request::new(Bytes::new()),
    };
    let path = http::uri::PathAndQuery::try_from(path).expect("a path");
    client.server_streaming(request, path, Raw).await.map(drop)
}

/// A codec that leaves messages as the bytes they are.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), tonic::Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = tonic::Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, tonic::Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}
