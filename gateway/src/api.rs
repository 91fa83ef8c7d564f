//! What is served: the annotated methods, as the descriptors tell them. Nothing here names one of them.

use crate::compression;
use crate::sequence::Sequence;
use crate::template::{Template, TemplateError};
use http::{Method as HttpMethod, StatusCode};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MessageDescriptor, MethodDescriptor, Value,
};
use std::sync::Arc;

use crate::router::{Router, Verb};

/// The option that says over which routes a method is served.
const HTTP_RULE: &str = "google.api.http";
/// The option that says who may call a method; without it a token is asked for.
pub(crate) const ACCESS_RULE: &str = "millgate.access.v1.rule";
/// The option that says the HTTP status of a success.
const HTTP_ANSWER: &str = "millgate.http.v1.answer";

/// One RPC.
#[derive(Debug)]
pub struct Method {
    /// Its full name, such as `pkg.v1.Service.Method`.
    pub name: String,
    /// Its path over gRPC, such as `/pkg.v1.Service/Method`.
    pub path: http::uri::PathAndQuery,
    /// The request.
    pub input: MessageDescriptor,
    /// The answer.
    pub output: MessageDescriptor,
    /// Whether the caller sends a stream.
    pub takes_stream: bool,
    /// Whether it is answered with a stream.
    pub gives_stream: bool,
    /// Whether a call without a token is refused before its body is read.
    pub token_required: bool,
    /// Whether an access rule says who may call it. Where there is none, the service alone knows.
    pub ruled: bool,
    /// The scope that the access rule names; empty where it names none.
    pub scope: String,
    /// The HTTP status of a success.
    pub success: StatusCode,
    /// Whether its answer holds a field that is marked as secret.
    pub answers_secret: bool,
    /// How a message's place in the stream is told.
    pub sequence: Sequence,
    /// Which of the upstreams serves it.
    pub upstream: usize,
    /// What the descriptors say of it.
    pub descriptor: MethodDescriptor,
}

/// How the body of a request is read.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// There is none.
    None,
    /// It is the whole request, but for what the path binds.
    Whole,
    /// It is this field of the request.
    Field(FieldDescriptor),
}

/// One route to an RPC.
#[derive(Debug)]
pub struct Binding {
    /// The RPC.
    pub method: Arc<Method>,
    /// The HTTP method it is reached by; `None` for any.
    pub verb: Option<HttpMethod>,
    /// The path, as it stands in the annotation.
    pub text: String,
    /// The fields that the path binds, in the order of the template's variables, each from the request inwards.
    pub path_fields: Vec<Vec<FieldDescriptor>>,
    /// What the body is.
    pub body: Body,
    /// The field of the answer that is told, where it is not the whole of it.
    pub response_body: Option<FieldDescriptor>,
    /// Whether this is the method's first route, and no additional binding.
    pub primary: bool,
}

/// Why a descriptor set cannot be served. Each names the method at fault.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Not a descriptor set.
    #[error("the descriptor set cannot be read: {0}")]
    Descriptors(#[from] prost_reflect::DescriptorError),
    /// A path that is no template.
    #[error("{method}: the path {path:?} {source}")]
    Template {
        /// The RPC.
        method: String,
        /// The path.
        path: String,
        /// What is wrong with it.
        source: TemplateError,
    },
    /// An annotation that contradicts the messages.
    #[error("{method}: the route {path:?} {cause}")]
    Route {
        /// The RPC.
        method: String,
        /// The path.
        path: String,
        /// What is wrong.
        cause: String,
    },
    /// Two methods that are reached by the same requests.
    #[error("{verb} {path:?} is a route of both {first} and {second}")]
    Conflict {
        /// The HTTP method.
        verb: String,
        /// The path of the second.
        path: String,
        /// The RPC that has it already.
        first: String,
        /// The RPC that asks for it too.
        second: String,
    },
    /// A path that the gateway answers itself.
    #[error("{method}: the path {path:?} is one of the gateway's own")]
    Own {
        /// The RPC.
        method: String,
        /// The path.
        path: String,
    },
    /// Nothing to serve.
    #[error("no service of the descriptor set has both a route and an upstream")]
    Empty,
}

/// All routes.
#[derive(Debug)]
pub struct Api {
    /// The descriptors, for what is looked up while serving.
    pub pool: DescriptorPool,
    /// The routes.
    pub router: Router<Arc<Binding>>,
    /// The services with a route and without an upstream: they are not served.
    pub unserved: Vec<String>,
}

/// What a call without a token comes to, where no access rule says whether it needs one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unruled {
    /// It is refused.
    #[default]
    NeedsToken,
    /// It is passed on: the service decides.
    Passes,
}

impl Api {
    /// Reads every annotated method of the services that `upstream_of` knows by their full name.
    pub fn new(
        descriptors: &[u8],
        upstream_of: impl Fn(&str) -> Option<usize>,
    ) -> Result<Self, ApiError> {
        Self::with(descriptors, upstream_of, Unruled::default())
    }

    /// The same, with a say on methods that have no access rule.
    pub fn with(
        descriptors: &[u8],
        upstream_of: impl Fn(&str) -> Option<usize>,
        unruled: Unruled,
    ) -> Result<Self, ApiError> {
        let pool = DescriptorPool::decode(descriptors)?;
        let mut router = Router::default();
        let mut unserved = Vec::new();
        for service in pool.services() {
            let Some(upstream) = upstream_of(service.full_name()) else {
                let has_route = |method| option(&method, HTTP_RULE).is_some();
                if service.methods().any(has_route) {
                    unserved.push(service.full_name().to_owned());
                }
                continue;
            };
            for method in service.methods() {
                add_method(&mut router, &method, upstream, unruled)?;
            }
        }
        if router.targets().next().is_none() {
            return Err(ApiError::Empty);
        }
        Ok(Self {
            pool,
            router,
            unserved,
        })
    }

    /// Every route, in the order of the descriptors.
    pub fn bindings(&self) -> impl Iterator<Item = &Arc<Binding>> {
        self.router.targets()
    }
}

fn add_method(
    router: &mut Router<Arc<Binding>>,
    descriptor: &MethodDescriptor,
    upstream: usize,
    unruled: Unruled,
) -> Result<(), ApiError> {
    let Some(rule) = option(descriptor, HTTP_RULE) else {
        return Ok(());
    };
    let service = descriptor.parent_service();
    let name = format!("{}.{}", service.full_name(), descriptor.name());
    let path = format!("/{}/{}", service.full_name(), descriptor.name());
    let access = option(descriptor, ACCESS_RULE);
    let is_public = access.as_ref().and_then(|rule| flag(rule, "public")) == Some(true);
    let success = option(descriptor, HTTP_ANSWER)
        .and_then(|answer| answer.get_field_by_name("status")?.as_i32())
        .filter(|status| *status != 0)
        .unwrap_or(200);
    let fault = |cause: &str| ApiError::Route {
        method: name.clone(),
        path: path.clone(),
        cause: cause.to_owned(),
    };
    let method = Arc::new(Method {
        path: path
            .parse()
            .map_err(|_| fault("is no path of a gRPC method"))?,
        input: descriptor.input(),
        output: descriptor.output(),
        takes_stream: descriptor.is_client_streaming(),
        gives_stream: descriptor.is_server_streaming(),
        token_required: match access {
            Some(_) => !is_public,
            None => unruled == Unruled::NeedsToken,
        },
        ruled: access.is_some(),
        scope: access.map(|rule| text(&rule, "scope")).unwrap_or_default(),
        success: u16::try_from(success)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok())
            .filter(StatusCode::is_success)
            .ok_or_else(|| fault("has an answer whose status is no success"))?,
        upstream,
        sequence: Sequence::of(&descriptor.input(), &descriptor.output()),
        answers_secret: compression::holds_secret(&descriptor.output()),
        descriptor: descriptor.clone(),
        name,
    });

    let additional = rule.get_field_by_name("additional_bindings");
    let additional = additional
        .iter()
        .flat_map(|rules| rules.as_list().unwrap_or_default());
    let rules = std::iter::once(&rule).chain(additional.filter_map(Value::as_message));
    for (index, rule) in rules.enumerate() {
        if index > 0 && rule.has_field_by_name("additional_bindings") {
            return Err(ApiError::Route {
                method: method.name.clone(),
                path: pattern(rule).1,
                cause: "is an additional binding with additional bindings of its own".to_owned(),
            });
        }
        add_binding(router, &method, rule, index == 0)?;
    }
    Ok(())
}

fn add_binding(
    router: &mut Router<Arc<Binding>>,
    method: &Arc<Method>,
    rule: &DynamicMessage,
    primary: bool,
) -> Result<(), ApiError> {
    let (verb, text_of_path) = pattern(rule);
    let fault = |cause: String| ApiError::Route {
        method: method.name.clone(),
        path: text_of_path.clone(),
        cause,
    };
    let verb = match verb.as_str() {
        "*" => Verb::Any,
        known => Verb::Only(
            known
                .parse()
                .map_err(|_| fault(format!("has {known:?} for a method")))?,
        ),
    };
    let template = Template::parse(&text_of_path).map_err(|source| ApiError::Template {
        method: method.name.clone(),
        path: text_of_path.clone(),
        source,
    })?;
    let path_fields = template
        .variables()
        .iter()
        .map(|variable| path_field(&method.input, &variable.field))
        .collect::<Result<Vec<_>, _>>()
        .map_err(&fault)?;
    let top_level = |message: &MessageDescriptor, name: &str| {
        message.get_field_by_name(name).ok_or_else(|| {
            fault(format!(
                "names {name:?}, which {} has not",
                message.full_name()
            ))
        })
    };
    let body = match text(rule, "body").as_str() {
        "" => Body::None,
        "*" => Body::Whole,
        name => Body::Field(top_level(&method.input, name)?),
    };
    if let Body::Field(field) = &body
        && path_fields.contains(&vec![field.clone()])
    {
        return Err(fault(format!(
            "binds {:?}, which is the body, too",
            field.name()
        )));
    }
    let response_body = match text(rule, "response_body").as_str() {
        "" => None,
        name => Some(top_level(&method.output, name)?),
    };
    let binding = Arc::new(Binding {
        method: Arc::clone(method),
        verb: match &verb {
            Verb::Only(method) => Some(method.clone()),
            Verb::Any => None,
        },
        text: text_of_path.clone(),
        path_fields,
        body,
        response_body,
        primary,
    });
    let name_of_verb = binding
        .verb
        .as_ref()
        .map_or("*".to_owned(), HttpMethod::to_string);
    router
        .insert(verb, template, binding)
        .map_err(|other| ApiError::Conflict {
            verb: name_of_verb,
            path: text_of_path.clone(),
            first: other.method.name.clone(),
            second: method.name.clone(),
        })
}

/// The HTTP method and the path of a google.api.HttpRule.
fn pattern(rule: &DynamicMessage) -> (String, String) {
    if let Some(custom) = rule
        .get_field_by_name("custom")
        .filter(|_| rule.has_field_by_name("custom"))
        && let Some(custom) = custom.as_message()
    {
        return (text(custom, "kind"), text(custom, "path"));
    }
    ["get", "put", "post", "delete", "patch"]
        .into_iter()
        .find(|name| rule.has_field_by_name(name))
        .map(|name| (name.to_ascii_uppercase(), text(rule, name)))
        .unwrap_or_default()
}

/// The fields that a variable's path leads through; the last one holds the value.
fn path_field(
    message: &MessageDescriptor,
    path: &[String],
) -> Result<Vec<FieldDescriptor>, String> {
    let mut message = Some(message.clone());
    let mut fields = Vec::with_capacity(path.len());
    for name in path {
        let field = message
            .as_ref()
            .and_then(|message| message.get_field_by_name(name))
            .ok_or_else(|| format!("binds {:?}, which the request has not", path.join(".")))?;
        if field.is_list() || field.is_map() {
            return Err(format!("binds {:?}, which is repeated", path.join(".")));
        }
        message = field.kind().as_message().cloned();
        fields.push(field);
    }
    match message {
        Some(_) => Err(format!("binds {:?}, which is a message", path.join("."))),
        None => Ok(fields),
    }
}

/// A method's option, where it is set and the descriptor set knows it.
pub(crate) fn option(method: &MethodDescriptor, extension: &str) -> Option<DynamicMessage> {
    let extension = method.parent_pool().get_extension_by_name(extension)?;
    let options = method.options();
    options
        .has_extension(&extension)
        .then(|| options.get_extension(&extension).as_message().cloned())
        .flatten()
}

pub(crate) fn flag(message: &DynamicMessage, name: &str) -> Option<bool> {
    message.get_field_by_name(name)?.as_bool()
}

pub(crate) fn text(message: &DynamicMessage, name: &str) -> String {
    message
        .get_field_by_name(name)
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}
