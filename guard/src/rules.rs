//! The access rules: who may call which method, read from the descriptors of the protos.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, decode_key, skip_field};

use crate::descriptors::{AccessRule, FileDescriptorSet, MethodDescriptorProto};
use crate::scopes::is_scope_token;

/// The standard health service, for [`Rules::allow_public`].
pub const HEALTH_SERVICE: &str = "grpc.health.v1.Health";
/// The standard reflection services, for [`Rules::allow_public`].
pub const REFLECTION_SERVICES: [&str; 2] = [
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

/// Who may call a method, before scope, freshness and kind are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody; a token is not looked at.
    Public,
    /// Anybody with a good token.
    Token,
    /// People of these roles.
    Roles(Vec<String>),
}

/// A kind of principal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A service account.
    Service,
}

/// The access rule of one method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who may call.
    pub access: Access,
    /// The scope that a scoped person's token and every service's token must contain. Without
    /// it, neither passes.
    pub scope: Option<String>,
    /// How long ago, at most, the person proved who they are.
    pub fresh_within: Option<Duration>,
    /// The only kind of principal that may call.
    pub principal: Option<PrincipalKind>,
}

/// Why descriptors were refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RulesError {
    /// The bytes are no `google.protobuf.FileDescriptorSet`.
    #[error("the descriptor set cannot be read")]
    NotADescriptorSet,
    /// A rule contradicts itself or says what this guard does not understand.
    #[error("the access rule of {path}: {flaw}")]
    BadRule {
        /// The method's path.
        path: String,
        /// What is wrong.
        flaw: &'static str,
    },
    /// Two descriptors describe the same method.
    #[error("{0} is described twice")]
    Duplicate(String),
}

static PUBLIC: Rule = Rule {
    access: Access::Public,
    scope: None,
    fresh_within: None,
    principal: None,
};

/// What is to be done with a request, by its path.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// A method for anybody.
    Public,
    /// A method with a rule that asks for a token.
    Ruled(Arc<Rule>),
    /// A served method without a rule: nobody may call it.
    Unruled,
    /// Nobody serves this path.
    Unserved,
}

/// The rules of all methods that a server serves. What is not in here is denied.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    ruled: HashMap<String, Arc<Rule>>,
    unruled: BTreeSet<String>,
    /// All services of the descriptors, also those that [`Rules::serving`] left out.
    described: BTreeSet<String>,
    /// Served services that no descriptor describes: all their methods lack a rule.
    undescribed: BTreeSet<String>,
    /// Paths that are public without a rule; `/service/*` for all methods of a service.
    public: BTreeSet<String>,
    /// The methods that take a stream or answer with one.
    streams: BTreeSet<String>,
}

impl Rules {
    /// Reads the rules from a serialized `google.protobuf.FileDescriptorSet`, as
    /// `protox::Compiler::encode_file_descriptor_set` writes it.
    ///
    /// # Errors
    /// When the bytes are not a descriptor set or a rule is not sound.
    pub fn from_descriptors(bytes: &[u8]) -> Result<Self, RulesError> {
        let set = FileDescriptorSet::decode(bytes).map_err(|_| RulesError::NotADescriptorSet)?;
        let mut rules = Self::default();
        for file in &set.file {
            for service in &file.service {
                let service_name = match file.package.as_str() {
                    "" => service.name.clone(),
                    package => format!("{package}.{}", service.name),
                };
                for method in &service.method {
                    rules.add(format!("/{service_name}/{}", method.name), method)?;
                }
                rules.described.insert(service_name);
            }
        }
        Ok(rules)
    }

    /// Keeps only the methods of these services (full names): what the descriptors describe but
    /// this server does not serve is as unknown as any other path. A service named here that no
    /// descriptor describes is denied with POLICY_MISSING.
    #[must_use]
    pub fn serving(mut self, services: &[&str]) -> Self {
        let served = |path: &str| service_of(path).is_some_and(|name| services.contains(&name));
        self.ruled.retain(|path, _| served(path));
        self.unruled.retain(|path| served(path));
        self.undescribed = services
            .iter()
            .filter(|service| !self.described.contains(**service))
            .map(|service| (*service).to_owned())
            .collect();
        self
    }

    /// Makes services public that come without access rules: [`HEALTH_SERVICE`] and
    /// [`REFLECTION_SERVICES`] by their standard methods, another by all its methods. Rules that
    /// stand in a proto are stronger: no service of the descriptors becomes public by its name,
    /// served here or not.
    #[must_use]
    pub fn allow_public(mut self, services: &[&str]) -> Self {
        for service in services {
            let methods: &[&str] = match *service {
                HEALTH_SERVICE => &["Check", "Watch", "List"],
                name if REFLECTION_SERVICES.contains(&name) => &["ServerReflectionInfo"],
                name if self.described.contains(name) => &[],
                _ => &["*"],
            };
            let paths = methods.iter().map(|method| format!("/{service}/{method}"));
            self.public.extend(paths);
        }
        self
    }

    /// The rule of the method with this bare path, such as `/millgate.auth.v1.AuthService/Login`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Rule> {
        match self.ruled.get(path) {
            Some(rule) => Some(rule),
            None => self.is_public(path).then_some(&PUBLIC),
        }
    }

    /// All rules, sorted by path; `/service/*` where a service is public by its name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Rule)> {
        let public = self.public.iter().map(|path| (path.as_str(), &PUBLIC));
        let ruled = self
            .ruled
            .iter()
            .map(|(path, rule)| (path.as_str(), rule.as_ref()));
        let sorted: BTreeMap<&str, &Rule> = public.chain(ruled).collect();
        sorted.into_iter()
    }

    /// Every scope that some rule asks for, sorted: what a token can be restricted to.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let scopes: BTreeSet<&str> = self
            .ruled
            .values()
            .filter_map(|rule| rule.scope.as_deref())
            .collect();
        scopes.into_iter()
    }

    /// The paths that are served without a rule, sorted: calling them is POLICY_MISSING.
    pub fn unruled(&self) -> impl Iterator<Item = &str> {
        self.unruled.iter().map(String::as_str)
    }

    pub(crate) fn route(&self, path: &str) -> Route {
        if let Some(rule) = self.ruled.get(path) {
            return match rule.access {
                Access::Public => Route::Public,
                _ => Route::Ruled(rule.clone()),
            };
        }
        let undescribed = || service_of(path).is_some_and(|it| self.undescribed.contains(it));
        if self.is_public(path) {
            Route::Public
        } else if self.unruled.contains(path) || undescribed() {
            Route::Unruled
        } else {
            Route::Unserved
        }
    }

    /// Whether the method takes a stream or answers with one: it can last for as long as the caller
    /// likes, so their token must outlive it.
    pub(crate) fn is_stream(&self, path: &str) -> bool {
        self.streams.contains(path)
    }

    /// Whether the path is public by [`Rules::allow_public`].
    fn is_public(&self, path: &str) -> bool {
        let whole = |service| self.public.contains(&format!("/{service}/*"));
        self.public.contains(path) || service_of(path).is_some_and(whole)
    }

    fn add(&mut self, path: String, method: &MethodDescriptorProto) -> Result<(), RulesError> {
        if self.ruled.contains_key(&path) || self.unruled.contains(&path) {
            return Err(RulesError::Duplicate(path));
        }
        if method.client_streaming || method.server_streaming {
            self.streams.insert(path.clone());
        }
        let encoded = method
            .options
            .as_ref()
            .map_or(&[][..], |options| &options.rule);
        match encoded {
            [] => {
                self.unruled.insert(path);
            }
            [encoded] => match Rule::read(encoded) {
                Ok(rule) => {
                    self.ruled.insert(path, Arc::new(rule));
                }
                Err(flaw) => return Err(RulesError::BadRule { path, flaw }),
            },
            _ => {
                let flaw = "there is more than one";
                return Err(RulesError::BadRule { path, flaw });
            }
        }
        Ok(())
    }
}

impl Rule {
    fn read(encoded: &[u8]) -> Result<Self, &'static str> {
        refuse_unknown_members(encoded)?;
        let rule = AccessRule::decode(encoded).map_err(|_| "it cannot be read")?;
        let roles = rule.role_required;
        let access = match (rule.public, rule.token_required, roles.is_empty()) {
            (true, false, true) => Access::Public,
            (false, true, true) => Access::Token,
            (false, false, false) => Access::Roles(roles),
            _ => return Err("exactly one of public, token_required and role_required is needed"),
        };
        if let Access::Roles(roles) = &access
            && roles.iter().any(String::is_empty)
        {
            return Err("a role is empty");
        }
        let scope = match rule.scope.as_str() {
            "" => None,
            scope if is_scope_token(scope) => Some(rule.scope),
            _ => return Err("scope is not one scope-token of RFC 6749"),
        };
        let fresh_within = match u64::try_from(rule.fresh_within) {
            Ok(0) => None,
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => return Err("fresh_within is negative"),
        };
        let principal = match rule.principal {
            0 => None,
            1 => Some(PrincipalKind::User),
            2 => Some(PrincipalKind::Service),
            _ => return Err("principal is of an unknown kind"),
        };
        let rule = Self {
            access,
            scope,
            fresh_within,
            principal,
        };
        if rule.access == Access::Public && rule != PUBLIC {
            return Err("a public method cannot ask for scope, freshness or principal");
        }
        Ok(rule)
    }
}

/// A rule in a few words: `public`, `token`, `role admin,user scope notes.write fresh 300 user`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.access {
            Access::Public => f.write_str("public")?,
            Access::Token => f.write_str("token")?,
            Access::Roles(roles) => write!(f, "role {}", roles.join(","))?,
        }
        if let Some(scope) = &self.scope {
            write!(f, " scope {scope}")?;
        }
        if let Some(limit) = self.fresh_within {
            write!(f, " fresh {}", limit.as_secs())?;
        }
        match self.principal {
            None => Ok(()),
            Some(PrincipalKind::User) => f.write_str(" user"),
            Some(PrincipalKind::Service) => f.write_str(" service"),
        }
    }
}

/// A member that a later version added would restrict further: better no rule than half of one.
fn refuse_unknown_members(mut encoded: &[u8]) -> Result<(), &'static str> {
    const UNREADABLE: &str = "it cannot be read";
    while encoded.has_remaining() {
        let (tag, wire_type) = decode_key(&mut encoded).map_err(|_| UNREADABLE)?;
        if tag > AccessRule::HIGHEST_MEMBER {
            return Err("it has a member that this guard does not know");
        }
        skip_field(wire_type, tag, &mut encoded, DecodeContext::default())
            .map_err(|_| UNREADABLE)?;
    }
    Ok(())
}

/// The service in `/package.Service/Method`.
fn service_of(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    (!service.is_empty() && !method.is_empty() && !method.contains('/')).then_some(service)
}

#[cfg(test)]
mod tests;
