//! Which binding a request is for, by its method and its path.
//!
//! A tree over path segments. A literal goes before `*`, and `*` before `**`, decided at the leftmost segment where two
//! templates differ; among those the first that knows the request's method is taken. A custom verb is part of the
//! template: `/v1/orders/7:confirm` belongs to the templates that end in `:confirm` as soon as there is one that fits,
//! whatever its method, and only then to those that take `7:confirm` for a value (which can always be sent as
//! `7%3Aconfirm`).

use crate::percent::{self, Slash};
use crate::template::{Segment, Template};
use http::Method;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

/// Which HTTP methods a binding answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Verb {
    /// This one.
    Only(Method),
    /// Every method that no other binding of the same template asks for (`custom { kind: "*" }`).
    Any,
}

/// The table of routes; `T` is what a route leads to.
#[derive(Debug)]
pub struct Router<T> {
    routes: Vec<Route<T>>,
    root: Node,
}

#[derive(Debug)]
struct Route<T> {
    template: Template,
    target: T,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<String, Node>,
    one: Option<Box<Node>>,
    rest: Option<Box<Node>>,
    /// What ends here: custom verb, HTTP method, index of the route.
    ends: Vec<(Option<String>, Verb, usize)>,
}

/// What a request's path and method lead to.
#[derive(Debug, PartialEq, Eq)]
pub enum Found<'r, T> {
    /// A route, and the values of its template's variables, in their order.
    Route {
        /// What the route leads to.
        target: &'r T,
        /// The template that matched.
        template: &'r Template,
        /// The values of the template's variables, decoded.
        values: Vec<String>,
    },
    /// The path is known, but not with this method; these are, sorted.
    WrongMethod(Vec<String>),
    /// The path is not known.
    Nothing,
    /// The path is not percent-encoded UTF-8.
    Undecodable,
}

impl<T> Default for Router<T> {
    fn default() -> Self {
        Self {
            routes: Vec::new(),
            root: Node::default(),
        }
    }
}

impl<T> Router<T> {
    /// Adds a route. Where another one matches exactly the same requests, nothing is added and that one is given back.
    pub fn insert(&mut self, verb: Verb, template: Template, target: T) -> Result<(), &T> {
        let mut node = &mut self.root;
        for segment in template.segments() {
            node = match segment {
                Segment::Literal(literal) => node.literals.entry(literal.clone()).or_default(),
                Segment::One => node.one.get_or_insert_default(),
                Segment::Rest => node.rest.get_or_insert_default(),
            };
        }
        let taken = node
            .ends
            .iter()
            .find(|(custom, known, _)| custom.as_deref() == template.verb() && *known == verb);
        if let Some((_, _, index)) = taken {
            return Err(&self.routes[*index].target);
        }
        let custom = template.verb().map(str::to_owned);
        node.ends.push((custom, verb, self.routes.len()));
        self.routes.push(Route { template, target });
        Ok(())
    }

    /// What each route leads to, in the order they were added.
    pub fn targets(&self) -> impl Iterator<Item = &T> {
        self.routes.iter().map(|route| &route.target)
    }

    /// Finds the route for a request. `path` is as it was sent: percent-encoded, without the query. One trailing slash
    /// is dropped. HEAD is answered by the GET of the same path where no route asks for it.
    pub fn find(&self, method: &Method, path: &str) -> Found<'_, T> {
        let Some(path) = path.strip_prefix('/') else {
            return Found::Nothing;
        };
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut raw: Vec<&str> = path.split('/').collect();
        let Ok(mut decoded) = raw
            .iter()
            .map(|segment| percent::path(segment, Slash::Decoded))
            .collect::<Result<Vec<_>, _>>()
        else {
            return Found::Undecodable;
        };

        let last = raw.len() - 1;
        let whole = (raw[last], decoded[last].clone());
        let mut allowed = BTreeSet::new();
        if let Some((head, custom)) = raw[last].rsplit_once(':')
            && let (Ok(head_decoded), Ok(custom)) = (
                percent::path(head, Slash::Decoded),
                percent::path(custom, Slash::Decoded),
            )
        {
            raw[last] = head;
            decoded[last] = head_decoded;
            let mut search = Search::new(method, Some(&custom), &mut allowed);
            if let Some(index) = search.run(&self.root, &decoded) {
                return self.found(index, &raw);
            }
            if !allowed.is_empty() {
                return wrong_method(allowed);
            }
        }
        (raw[last], decoded[last]) = whole;
        match Search::new(method, None, &mut allowed).run(&self.root, &decoded) {
            Some(index) => self.found(index, &raw),
            None if allowed.is_empty() => Found::Nothing,
            None => wrong_method(allowed),
        }
    }

    fn found(&self, index: usize, raw: &[&str]) -> Found<'_, T> {
        let Route { template, target } = &self.routes[index];
        match template.capture(raw) {
            Ok(values) => Found::Route {
                target,
                template,
                values,
            },
            Err(_) => Found::Undecodable,
        }
    }
}

fn wrong_method<'r, T>(mut allowed: BTreeSet<String>) -> Found<'r, T> {
    if allowed.contains("GET") {
        allowed.insert("HEAD".to_owned());
    }
    Found::WrongMethod(allowed.into_iter().collect())
}

/// One walk through the tree. A node stands at one depth, so that it is visited once at most.
struct Search<'s> {
    method: &'s Method,
    custom: Option<&'s str>,
    allowed: &'s mut BTreeSet<String>,
}

impl<'s> Search<'s> {
    fn new(method: &'s Method, custom: Option<&'s str>, allowed: &'s mut BTreeSet<String>) -> Self {
        Self {
            method,
            custom,
            allowed,
        }
    }

    fn run(&mut self, node: &Node, segments: &[Cow<'_, str>]) -> Option<usize> {
        let Some((first, others)) = segments.split_first() else {
            // `**` matches nothing, too.
            return self
                .end(node)
                .or_else(|| node.rest.as_deref().and_then(|rest| self.end(rest)));
        };
        if let Some(next) = node.literals.get(first.as_ref())
            && let Some(index) = self.run(next, others)
        {
            return Some(index);
        }
        if let Some(next) = node.one.as_deref()
            && !first.is_empty()
            && let Some(index) = self.run(next, others)
        {
            return Some(index);
        }
        node.rest.as_deref().and_then(|rest| self.end(rest))
    }

    fn end(&mut self, node: &Node) -> Option<usize> {
        let fitting = || {
            node.ends
                .iter()
                .filter(|(custom, ..)| custom.as_deref() == self.custom)
        };
        let by = |wanted: &Method| {
            fitting().find(|(_, verb, _)| matches!(verb, Verb::Only(method) if method == wanted))
        };
        let any = || fitting().find(|(_, verb, _)| *verb == Verb::Any);
        let found = by(self.method)
            .or_else(|| {
                (self.method == Method::HEAD)
                    .then(|| by(&Method::GET))
                    .flatten()
            })
            .or_else(any);
        if let Some((_, _, index)) = found {
            return Some(*index);
        }
        let methods: Vec<String> = fitting()
            .filter_map(|(_, verb, _)| match verb {
                Verb::Only(method) => Some(method.to_string()),
                Verb::Any => None,
            })
            .collect();
        self.allowed.extend(methods);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn router() -> Router<&'static str> {
        let mut router = Router::default();
        for (method, template, name) in [
            ("GET", "/v1/users", "list"),
            ("POST", "/v1/users", "create"),
            ("GET", "/v1/users/{id}", "get"),
            ("PATCH", "/v1/users/{user.id}", "update"),
            ("PUT", "/v1/users/{user.id}", "update"),
            ("POST", "/v1/users/{id}:setRole", "role"),
            ("POST", "/v1/users:import", "import"),
            ("GET", "/v1/users/me", "me"),
            ("DELETE", "/user/{id}", "delete"),
            ("GET", "/f/{path=**}", "file"),
            ("GET", "/f/{path=**}:read", "read"),
            ("GET", "/f/x/{y}", "under x"),
            ("GET", "/b/{name=shelves/*/books/*}", "book"),
            ("GET", "/a/*/c", "star"),
            ("GET", "/a/b/{x}", "literal first"),
        ] {
            let verb = Verb::Only(method.parse().unwrap());
            let template = Template::parse(template).unwrap();
            router.insert(verb, template, name).unwrap();
        }
        let any = Template::parse("/any/{id}").unwrap();
        router.insert(Verb::Any, any.clone(), "any").unwrap();
        router
            .insert(Verb::Only(Method::POST), any, "any, by POST")
            .unwrap();
        router
    }

    fn outcome(router: &Router<&'static str>, method: &str, path: &str) -> String {
        match router.find(&method.parse().unwrap(), path) {
            Found::Route { target, values, .. } if values.is_empty() => (*target).to_owned(),
            Found::Route { target, values, .. } => format!("{target} {}", values.join("|")),
            Found::WrongMethod(allowed) => format!("405 {}", allowed.join(", ")),
            Found::Nothing => "404".to_owned(),
            Found::Undecodable => "400".to_owned(),
        }
    }

    #[test]
    fn requests_find_their_route() {
        let router = router();
        let cases = [
            ("GET", "/v1/users", "list"),
            ("HEAD", "/v1/users", "list"),
            ("GET", "/v1/users/", "list"),
            ("GET", "/v1/users//", "404"),
            ("GET", "//v1/users", "404"),
            ("POST", "/v1/users", "create"),
            ("GET", "/v1/users/7", "get 7"),
            ("GET", "/v1/users/7/", "get 7"),
            ("GET", "/v1/%75sers/7", "get 7"),
            ("GET", "/v1/users/a%2Fb", "get a/b"),
            ("GET", "/v1/users/me", "me"),
            ("PATCH", "/v1/users/me", "update me"),
            ("POST", "/v1/users/7:setRole", "role 7"),
            ("POST", "/v1/users/a:b:setRole", "role a:b"),
            ("POST", "/v1/users:import", "import"),
            ("GET", "/v1/users/7:setRole", "405 POST"),
            ("GET", "/v1/users/7%3AsetRole", "get 7:setRole"),
            ("GET", "/v1/users/7:other", "get 7:other"),
            ("GET", "/v1/users/:setRole", "get :setRole"),
            ("PUT", "/v1/users", "405 GET, HEAD, POST"),
            ("POST", "/v1/users/7", "405 GET, HEAD, PATCH, PUT"),
            ("DELETE", "/v1/users/me", "405 GET, HEAD, PATCH, PUT"),
            ("GET", "/v1", "404"),
            ("GET", "/", "404"),
            ("GET", "", "404"),
            ("GET", "*", "404"),
            ("GET", "/v1/users/7/x", "404"),
            ("GET", "/V1/users", "404"),
            ("GET", "/v1/./users", "404"),
            ("GET", "/v1/users/%zz", "400"),
            ("GET", "/v1/users/%ff", "400"),
            ("GET", "/f", "file "),
            ("GET", "/f/", "file "),
            ("GET", "/f/a/b%2Fc", "file a/b%2Fc"),
            ("GET", "/f/x/1", "under x 1"),
            ("GET", "/f/x/1/2", "file x/1/2"),
            ("GET", "/f/x/1:read", "read x/1"),
            ("GET", "/b/shelves/1/books/2", "book shelves/1/books/2"),
            ("GET", "/b/shelves/1/2", "404"),
            ("GET", "/a/b/c", "literal first c"),
            ("GET", "/a/x/c", "star"),
            ("DELETE", "/user/7", "delete 7"),
            ("DELETE", "/any/7", "any 7"),
            ("POST", "/any/7", "any, by POST 7"),
        ];
        for (method, path, expected) in cases {
            assert_eq!(outcome(&router, method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn two_routes_for_the_same_requests_are_found_out() {
        let mut router = router();
        let same = [
            ("GET", "/v1/users/{name}", "get"),
            ("GET", "/v1/users/{a.b=*}", "get"),
            ("POST", "/v1/users/{x}:setRole", "role"),
            ("GET", "/f/**", "file"),
            ("GET", "/a/{x}/c", "star"),
        ];
        for (method, template, other) in same {
            let verb = Verb::Only(method.parse().unwrap());
            let template = Template::parse(template).unwrap();
            assert_eq!(router.insert(verb, template, "new"), Err(&other));
        }
        let verb = Verb::Only(Method::DELETE);
        assert!(
            router
                .insert(verb, Template::parse("/v1/users/{x}").unwrap(), "new")
                .is_ok()
        );
    }

    proptest! {
        #[test]
        fn any_path_has_an_answer(path in "[/a-z0-9:%.*]*|.*") {
            outcome(&router(), "GET", &path);
        }
    }
}
