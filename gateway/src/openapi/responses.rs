//! The answers of an operation, and the ones that many share.

use super::example;
use super::parameters::{takes_if_match, takes_if_none_match};
use super::schema::{Schemas, Side};
use crate::api::{Binding, Body};
use crate::raw;
use http::StatusCode;
use serde_json::{Map, Value, json};

/// The refusals that many operations share: status, name, code, reason, when.
const SHARED: [(u16, &str, &str, &str, &str); 12] = [
    (
        400,
        "BadRequest",
        "INVALID_ARGUMENT",
        "FIELD_INVALID",
        "Something in the request is not as it must be, or the state does not allow it. All bad fields are told together.",
    ),
    (
        401,
        "Unauthenticated",
        "UNAUTHENTICATED",
        "TOKEN_MISSING",
        "No token, one that is not good, or wrong credentials.",
    ),
    (
        403,
        "Forbidden",
        "PERMISSION_DENIED",
        "ROLE_DENIED",
        "The token is good, and does not allow this.",
    ),
    (
        404,
        "NotFound",
        "NOT_FOUND",
        "NOT_FOUND",
        "There is no such thing, or the caller may not see it.",
    ),
    (
        406,
        "NotAcceptable",
        "INVALID_ARGUMENT",
        "NOT_ACCEPTABLE",
        "The client accepts nothing that is answered here.",
    ),
    (
        408,
        "BodyTimeout",
        "DEADLINE_EXCEEDED",
        "BODY_TIMEOUT",
        "The body did not arrive in time.",
    ),
    (
        409,
        "Conflict",
        "ALREADY_EXISTS",
        "REQUEST_ID_REUSED",
        "It contradicts what is there already.",
    ),
    (
        412,
        "PreconditionFailed",
        "ABORTED",
        "ETAG_MISMATCH",
        "The resource is no longer at the revision of `If-Match`.",
    ),
    (
        413,
        "TooLarge",
        "RESOURCE_EXHAUSTED",
        "MESSAGE_TOO_LARGE",
        "The body is larger than a message may be.",
    ),
    (
        415,
        "ContentType",
        "INVALID_ARGUMENT",
        "CONTENT_TYPE",
        "The body is not of a type that is taken here.",
    ),
    (
        429,
        "TooMany",
        "RESOURCE_EXHAUSTED",
        "RATE_LIMITED",
        "Too many calls: `Retry-After` says when to come back.",
    ),
    (
        503,
        "Unavailable",
        "UNAVAILABLE",
        "UPSTREAM_UNAVAILABLE",
        "A service behind this cannot be reached now. Safe calls can be tried again.",
    ),
];

/// The answers of one operation.
pub(super) fn of(binding: &Binding, schemas: &mut Schemas<'_>) -> Value {
    let method = &binding.method;
    let mut responses = Map::new();
    let mut shared = vec![400, 406, 429, 503];
    if method.token_required {
        shared.extend([401, 403]);
    }
    if !binding.path_fields.is_empty() {
        shared.push(404);
    }
    if binding.body != Body::None {
        shared.extend([408, 409, 413, 415]);
    }
    if takes_if_match(binding) {
        shared.extend([409, 412]);
    }
    for (status, name, ..) in SHARED.iter().filter(|(status, ..)| shared.contains(status)) {
        let response = json!({"$ref": format!("#/components/responses/{name}")});
        responses.insert(status.to_string(), response);
    }
    if takes_if_none_match(binding) {
        responses.insert(
            "304".to_owned(),
            json!({"$ref": "#/components/responses/NotModified"}),
        );
    }
    let other = json!({"$ref": "#/components/responses/Error"});
    responses.insert("default".to_owned(), other);
    responses.insert(
        method.success.as_str().to_owned(),
        success(binding, schemas),
    );
    Value::Object(responses)
}

fn success(binding: &Binding, schemas: &mut Schemas<'_>) -> Value {
    let method = &binding.method;
    let schema = match &binding.response_body {
        None => schemas.message(&method.output, Side::Answer),
        Some(field) => schemas.field(field, Side::Answer),
    };
    let mut headers = Map::new();
    headers.insert(
        "x-request-id".to_owned(),
        json!({"$ref": "#/components/headers/RequestId"}),
    );
    if method.output.get_field_by_name("etag").is_some() {
        headers.insert(
            "ETag".to_owned(),
            json!({"$ref": "#/components/headers/ETag"}),
        );
    }
    if method.success == StatusCode::CREATED {
        headers.insert(
            "Location".to_owned(),
            json!({"$ref": "#/components/headers/Location"}),
        );
    }
    json!({
        "description": if method.success == StatusCode::CREATED { "Made." } else { "Done." },
        "headers": headers,
        "content": content(binding, &schema),
    })
}

fn content(binding: &Binding, schema: &Value) -> Value {
    if raw::is_given(binding) {
        return json!({"*/*": {"schema": {"type": "string", "format": "binary"}}});
    }
    let example = match &binding.response_body {
        None => example::message(&binding.method.output, Side::Answer, &[]),
        Some(field) => example::value(field, Side::Answer, 0).unwrap_or_default(),
    };
    if !binding.method.gives_stream {
        return json!({"application/json": {"schema": schema, "example": example}});
    }
    let line = json!({
        "type": "object",
        "description": "A line of the stream; the last one is an `error` where the stream breaks off.",
        "properties": {"result": schema, "error": {"$ref": "#/components/schemas/Error/properties/error"}},
    });
    json!({
        "application/x-ndjson": {"schema": line, "example": {"result": example}},
        "text/event-stream": {"schema": {
            "type": "string",
            "description": "An event a message. Its id is the message's `sequence`, where it has one; `Last-Event-ID` resumes after it. \
    Events of the types `error` and `end` are the last.",
        }},
    })
}

/// The answers that operations refer to.
pub(super) fn components() -> Value {
    let mut responses = Map::new();
    for (status, name, code, reason, description) in SHARED {
        let mut response = error(status, code, reason, description);
        let header = match status {
            401 => Some("WWW-Authenticate"),
            429 | 503 => Some("Retry-After"),
            _ => None,
        };
        if let Some(header) = header {
            let mut headers = Map::new();
            let told = json!({"$ref": format!("#/components/headers/{}", header.replace('-', ""))});
            headers.insert(header.to_owned(), told);
            response["headers"] = Value::Object(headers);
        }
        responses.insert(name.to_owned(), response);
    }
    responses.insert(
        "NotModified".to_owned(),
        json!({
            "description": "The client has it already: it is still at the revision of `If-None-Match`.",
            "headers": {"ETag": {"$ref": "#/components/headers/ETag"}},
        }),
    );
    let other = error(
        500,
        "INTERNAL",
        "INTERNAL",
        "Any other refusal or failure, told in the same form.",
    );
    responses.insert("Error".to_owned(), other);
    Value::Object(responses)
}

fn error(status: u16, code: &str, reason: &str, description: &str) -> Value {
    let example = json!({"error": {
        "code": status,
        "status": code,
        "message": description,
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": crate::problem::DOMAIN,
            "metadata": {},
        }],
    }});
    json!({
        "description": description,
        "content": {"application/json": {
            "schema": {"$ref": "#/components/schemas/Error"},
            "example": example,
        }},
    })
}

/// The headers of answers.
pub(super) fn headers() -> Value {
    let header = |description: &str, kind: &str| json!({"description": description, "schema": {"type": kind}});
    json!({
        "ETag": header("The revision, for `If-Match`.", "string"),
        "Location": header("Where the resource is found, if it has a GET.", "string"),
        "RequestId": header("Names the request in the logs.", "string"),
        "RetryAfter": header("After how many seconds to try again.", "integer"),
        "WWWAuthenticate": header("`Bearer`, with `error=\"invalid_token\"` when one was sent (RFC 6750).", "string"),
    })
}

/// The body of every refusal.
pub(super) fn error_schema() -> Value {
    json!({
        "type": "object",
        "description": "A refusal or a failure: `details[0].reason` is what a program branches on.",
        "required": ["error"],
        "properties": {"error": {
            "type": "object",
            "required": ["code", "status", "message", "details"],
            "properties": {
                "code": {"type": "integer", "description": "The HTTP status."},
                "status": {"type": "string", "description": "The gRPC code, by its name."},
                "message": {"type": "string", "description": "For people."},
                "details": {
                    "type": "array",
                    "description": "A `google.rpc.ErrorInfo` first; `google.rpc.BadRequest` with the bad fields and `google.rpc.RetryInfo` where there is something to tell.",
                    "items": {
                        "type": "object",
                        "required": ["@type"],
                        "properties": {
                            "@type": {"type": "string"},
                            "reason": {"type": "string"},
                            "domain": {"type": "string"},
                            "metadata": {"type": "object", "additionalProperties": {"type": "string"}},
                            "field_violations": {"type": "array", "items": {
                                "type": "object",
                                "properties": {"field": {"type": "string"}, "description": {"type": "string"}},
                            }},
                            "retry_delay": {"type": "string"},
                        },
                    },
                },
            },
        }},
    })
}
