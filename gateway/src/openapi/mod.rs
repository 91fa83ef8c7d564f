//! `/openapi.json`: OpenAPI 3.1, made from the descriptors when the gateway starts.
//!
//! Comments become summaries and descriptions, `field_behavior` says what is required and who writes what, the access
//! rules become `security` and `x-roles`. An additional binding is an operation with an id of its own.

mod comments;
mod example;
mod limits;
mod operation;
mod parameters;
mod path;
mod responses;
mod schema;

use crate::api::{Api, Binding};
use crate::template::Template;
use comments::{Comments, summary};
use http::Method as HttpMethod;
use path::Path;
use schema::Schemas;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

const DESCRIPTION: &str = "Every call is answered in JSON. 64-bit integers are strings, so that no client rounds them; \
numbers are taken, too. Enums are names; their numbers are taken, too. Fields that the caller did not set come with their default values.\n\n\
**Tokens** are sent as `authorization: Bearer ...`. **Refusals** have one form: branch on `error.details[0].reason`. \
**Retries** are safe with an `Idempotency-Key`. **Changes** are safe with the `ETag` of what was read as `If-Match`. \
What is not said, a body must not have: unknown and duplicate fields are refused.";

/// The methods that a path of the document can have.
const VERBS: [HttpMethod; 8] = [
    HttpMethod::GET,
    HttpMethod::PUT,
    HttpMethod::POST,
    HttpMethod::DELETE,
    HttpMethod::OPTIONS,
    HttpMethod::HEAD,
    HttpMethod::PATCH,
    HttpMethod::TRACE,
];

/// An entry under `paths`: its text, the names of its parameters, its operations by verb.
type Item = (String, Vec<String>, Map<String, Value>);

/// The document of everything that is served.
pub fn document(api: &Api) -> Value {
    let comments = Comments::of(&api.pool);
    let mut schemas = Schemas::new(&api.pool, &comments);
    let ids = Ids::of(api);
    let mut paths: BTreeMap<String, Item> = BTreeMap::new();
    for binding in api.bindings() {
        if binding.method.takes_stream && binding.method.gives_stream {
            continue;
        }
        let (Some(verb), Ok(template)) = (verb(binding), Template::parse(&binding.text)) else {
            continue;
        };
        let path = Path::new(&template, &binding.path_fields);
        let (_, names, item) = paths.entry(path.shape()).or_insert_with(|| {
            let names: Vec<String> = path
                .parameters
                .iter()
                .map(|parameter| parameter.name.clone())
                .collect();
            (path.text(&names), names, Map::new())
        });
        if !item.contains_key(&verb) {
            let id = ids.of_binding(binding);
            let operation =
                operation::operation(binding, &id, &path, names, &comments, &mut schemas);
            item.insert(verb, operation);
        }
    }
    let paths: BTreeMap<String, Value> = paths
        .into_values()
        .map(|(text, _, item)| (text, Value::Object(item)))
        .collect();
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": title(api),
            "version": env!("CARGO_PKG_VERSION"),
            "description": DESCRIPTION,
        },
        "tags": tags(api, &comments),
        "paths": paths,
        "components": components(schemas),
    })
}

fn components(schemas: Schemas<'_>) -> Value {
    let mut schemas = schemas.finish();
    schemas.insert("Error".to_owned(), responses::error_schema());
    json!({
        "schemas": schemas,
        "responses": responses::components(),
        "headers": responses::headers(),
        "parameters": {
            "IfMatch": {
                "name": "If-Match",
                "in": "header",
                "required": false,
                "description": "The revision that the caller knows (the `ETag` of an answer); another one there is refused with 412.",
                "schema": {"type": "string", "pattern": "^(\\*|\"[!#-~]+\")$"},
            },
            // What is no tag names no revision, and is passed over (RFC 9110 section 13.1.2): no value is wrong.
            "IfNoneMatch": {
                "name": "If-None-Match",
                "in": "header",
                "required": false,
                "description": "The revision that the caller has (the `ETag` of an answer, such as `\"7\"`): if it is still that one, the answer is 304 without a body.",
                "schema": {},
            },
            "LastEventId": {
                "name": "Last-Event-ID",
                "in": "header",
                "required": false,
                "description": "The id of the last event that was seen, a number: the stream goes on behind it.",
                "schema": {"type": "string"},
            },
            "IdempotencyKey": {
                "name": "Idempotency-Key",
                "in": "header",
                "required": false,
                "description": "Makes a retry safe: the same key with the same body gives the first answer again. A UUID.",
                "schema": {"type": "string", "format": "uuid"},
            },
        },
        "securitySchemes": {"bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "The access token that a login answers with.",
        }},
    })
}

/// The verb under which the document has a route. One that OpenAPI does not know is served and not told.
fn verb(binding: &Binding) -> Option<String> {
    let verb = match &binding.verb {
        Some(verb) => verb,
        None if binding.body == crate::api::Body::None => &HttpMethod::GET,
        None => &HttpMethod::POST,
    };
    VERBS
        .contains(verb)
        .then(|| verb.as_str().to_ascii_lowercase())
}

fn title(api: &Api) -> String {
    let packages: BTreeSet<String> = api
        .bindings()
        .map(|binding| {
            binding
                .method
                .descriptor
                .parent_service()
                .package_name()
                .to_owned()
        })
        .collect();
    let packages: Vec<String> = packages.into_iter().collect();
    packages.join(", ")
}

fn tags(api: &Api, comments: &Comments) -> Vec<Value> {
    let mut told = BTreeSet::new();
    let services = api
        .bindings()
        .map(|binding| binding.method.descriptor.parent_service().clone());
    services
        .filter(|service| told.insert(service.name().to_owned()))
        .map(|service| {
            let comment = comments.at(service.parent_file().name(), service.path());
            json!({"name": service.name(), "description": summary(comment)})
        })
        .collect()
}

/// The operation ids: the method's name, with its service's where two methods are called the same, and a number for
/// each additional binding.
struct Ids {
    methods: HashMap<String, usize>,
    numbers: HashMap<*const Binding, usize>,
}

impl Ids {
    fn of(api: &Api) -> Self {
        let mut methods: HashMap<String, usize> = HashMap::new();
        let mut bindings: HashMap<&str, usize> = HashMap::new();
        let mut numbers = HashMap::new();
        for binding in api.bindings() {
            if binding.primary {
                *methods
                    .entry(binding.method.descriptor.name().to_owned())
                    .or_default() += 1;
            }
            let number = bindings.entry(&binding.method.name).or_default();
            *number += 1;
            numbers.insert(std::sync::Arc::as_ptr(binding), *number);
        }
        Self { methods, numbers }
    }

    fn of_binding(&self, binding: &Binding) -> String {
        let descriptor = &binding.method.descriptor;
        let name = match self.methods.get(descriptor.name()) {
            Some(1) => descriptor.name().to_owned(),
            _ => format!(
                "{}_{}",
                descriptor.parent_service().full_name().replace('.', "_"),
                descriptor.name()
            ),
        };
        match self.numbers.get(&std::ptr::from_ref(binding)) {
            Some(1) | None => name,
            Some(number) => format!("{name}_{number}"),
        }
    }
}
