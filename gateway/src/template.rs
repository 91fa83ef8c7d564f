//! Path templates, by the grammar of google/api/http.proto:
//!
//! ```text
//! Template = "/" Segments [ Verb ] ;
//! Segments = Segment { "/" Segment } ;
//! Segment  = "*" | "**" | LITERAL | Variable ;
//! Variable = "{" FieldPath [ "=" Segments ] "}" ;
//! FieldPath = IDENT { "." IDENT } ;
//! Verb     = ":" LITERAL ;
//! ```

use crate::percent::{self, NotDecodable, Slash};
use std::borrow::Cow;
use std::ops::Range;

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text, percent-decoded.
    Literal(String),
    /// Any one segment that is not empty: `*`.
    One,
    /// All that is left, nothing included: `**`. Only ever the last segment.
    Rest,
}

/// A part of the path that is bound to a field of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The field's path in the request, outermost first.
    pub field: Vec<String>,
    pub(crate) segments: Range<usize>,
    slash: Slash,
}

/// A parsed path template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
}

/// Why a text is no path template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(&'static str);

impl Template {
    /// Reads a template, such as `/v1/{name=shelves/*}/books/{book.id}:publish`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser {
            rest: text
                .strip_prefix('/')
                .ok_or(TemplateError("begins with no slash"))?,
            template: Self {
                segments: Vec::new(),
                variables: Vec::new(),
                verb: None,
            },
        };
        parser.segments(false)?;
        if let Some(verb) = parser.rest.strip_prefix(':') {
            parser.rest = verb;
            parser.template.verb = Some(parser.literal()?);
        }
        if !parser.rest.is_empty() {
            return Err(TemplateError("goes on after its end"));
        }
        let template = parser.template;
        let rest = template
            .segments
            .iter()
            .position(|segment| *segment == Segment::Rest);
        if rest.is_some_and(|at| at + 1 != template.segments.len()) {
            return Err(TemplateError("`**` is not its last segment"));
        }
        for (at, variable) in template.variables.iter().enumerate() {
            if template.variables[..at]
                .iter()
                .any(|other| other.field == variable.field)
            {
                return Err(TemplateError("binds a field twice"));
            }
        }
        Ok(template)
    }

    /// The steps, variables resolved to what they match.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The variables, from left to right.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The custom verb after the last colon.
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// The value of each variable, in order, in a path that this template matches: `raw` holds its segments as they
    /// were sent, the verb cut off.
    pub fn capture(&self, raw: &[&str]) -> Result<Vec<String>, NotDecodable> {
        self.variables
            .iter()
            .map(|variable| {
                let rest = self.segments[variable.segments.clone()].contains(&Segment::Rest);
                let end = if rest {
                    raw.len()
                } else {
                    variable.segments.end
                };
                match raw.get(variable.segments.start..end).unwrap_or_default() {
                    [one] => percent::path(one, variable.slash).map(Cow::into_owned),
                    several => {
                        percent::path(&several.join("/"), variable.slash).map(Cow::into_owned)
                    }
                }
            })
            .collect()
    }

    /// The path with these values for its variables: what [`capture`](Self::capture) undoes. `None` for a value that
    /// could not have been captured, and for wildcards outside of variables.
    pub fn expand(&self, values: &[&str]) -> Option<String> {
        let mut path = String::new();
        let mut at = 0;
        let mut variables = self.variables.iter().zip(values);
        while at < self.segments.len() {
            path.push('/');
            if let Segment::Literal(literal) = &self.segments[at]
                && !self
                    .variables
                    .iter()
                    .any(|variable| variable.segments.contains(&at))
            {
                path.push_str(&percent::encode(literal, Slash::Decoded));
                at += 1;
            } else {
                let (variable, value) = variables.next()?;
                if variable.segments.start != at || value.is_empty() {
                    return None;
                }
                path.push_str(&percent::encode(value, variable.slash));
                at = variable.segments.end;
            }
        }
        if let Some(verb) = &self.verb {
            path.push(':');
            path.push_str(verb);
        }
        Some(path)
    }
}

struct Parser<'a> {
    rest: &'a str,
    template: Template,
}

impl Parser<'_> {
    fn segments(&mut self, in_variable: bool) -> Result<(), TemplateError> {
        loop {
            self.segment(in_variable)?;
            match self.rest.strip_prefix('/') {
                Some(rest) => self.rest = rest,
                None => return Ok(()),
            }
        }
    }

    fn segment(&mut self, in_variable: bool) -> Result<(), TemplateError> {
        if let Some(rest) = self.rest.strip_prefix("**") {
            self.rest = rest;
            self.template.segments.push(Segment::Rest);
        } else if let Some(rest) = self.rest.strip_prefix('*') {
            self.rest = rest;
            self.template.segments.push(Segment::One);
        } else if let Some(rest) = self.rest.strip_prefix('{') {
            if in_variable {
                return Err(TemplateError("has a variable inside of a variable"));
            }
            self.rest = rest;
            self.variable()?;
        } else {
            let literal = self.literal()?;
            self.template.segments.push(Segment::Literal(literal));
        }
        Ok(())
    }

    fn variable(&mut self) -> Result<(), TemplateError> {
        let mut field = vec![self.identifier()?];
        while let Some(rest) = self.rest.strip_prefix('.') {
            self.rest = rest;
            field.push(self.identifier()?);
        }
        let start = self.template.segments.len();
        if let Some(rest) = self.rest.strip_prefix('=') {
            self.rest = rest;
            self.segments(true)?;
        } else {
            self.template.segments.push(Segment::One);
        }
        self.rest = self
            .rest
            .strip_prefix('}')
            .ok_or(TemplateError("has a variable that is not closed"))?;
        let end = self.template.segments.len();
        let several = end - start > 1 || self.template.segments[start..].contains(&Segment::Rest);
        self.template.variables.push(Variable {
            field,
            segments: start..end,
            slash: if several { Slash::Kept } else { Slash::Decoded },
        });
        Ok(())
    }

    fn identifier(&mut self) -> Result<String, TemplateError> {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(TemplateError("has a variable without a field's name"));
        }
        self.rest = rest;
        Ok(name.to_owned())
    }

    fn literal(&mut self) -> Result<String, TemplateError> {
        let end = self
            .rest
            .find(['/', ':', '{', '}', '*', '=', '?', '#'])
            .unwrap_or(self.rest.len());
        let (literal, rest) = self.rest.split_at(end);
        if literal.is_empty() {
            return Err(TemplateError("has an empty segment or verb"));
        }
        self.rest = rest;
        percent::path(literal, Slash::Decoded)
            .map(|literal| literal.into_owned())
            .map_err(|_| TemplateError("has a literal that is not percent-encoded UTF-8"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shape(template: &Template) -> String {
        let mut shape: String = template
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Literal(literal) => format!("/{literal}"),
                Segment::One => "/*".to_owned(),
                Segment::Rest => "/**".to_owned(),
            })
            .collect();
        for variable in &template.variables {
            shape += &format!(" {}={:?}", variable.field.join("."), variable.segments);
        }
        if let Some(verb) = &template.verb {
            shape += &format!(" :{verb}");
        }
        shape
    }

    #[test]
    fn templates_are_read_by_the_grammar() {
        let cases = [
            ("/v1", "/v1"),
            ("/v1/users", "/v1/users"),
            ("/v1/users/{id}", "/v1/users/* id=2..3"),
            ("/v1/{a.b.c}/x", "/v1/*/x a.b.c=1..2"),
            ("/v1/*", "/v1/*"),
            ("/v1/**", "/v1/**"),
            (
                "/v1/{name=shelves/*/books/*}",
                "/v1/shelves/*/books/* name=1..5",
            ),
            (
                "/v1/{name=shelves/*}/books/{book}",
                "/v1/shelves/*/books/* name=1..3 book=4..5",
            ),
            ("/v1/{path=**}:read", "/v1/** path=1..2 :read"),
            ("/v1/{a=x}", "/v1/x a=1..2"),
            ("/v1/orders/{id}:confirm", "/v1/orders/* id=2..3 :confirm"),
            ("/v1/products:batchGet", "/v1/products :batchGet"),
            ("/v1/a%2Fb", "/v1/a/b"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                shape(&Template::parse(text).expect(text)),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_template_is_refused_with_the_reason() {
        let cases = [
            ("", "begins with no slash"),
            ("v1", "begins with no slash"),
            ("/", "has an empty segment or verb"),
            ("/v1/", "has an empty segment or verb"),
            ("/v1//x", "has an empty segment or verb"),
            ("/v1:", "has an empty segment or verb"),
            ("/v1/{id", "has a variable that is not closed"),
            ("/v1/{}", "has a variable without a field's name"),
            ("/v1/{1a}", "has a variable without a field's name"),
            ("/v1/{a.}", "has a variable without a field's name"),
            ("/v1/{a={b}}", "has a variable inside of a variable"),
            ("/v1/{a}b", "goes on after its end"),
            ("/v1/***", "goes on after its end"),
            ("/v1/x:a:b", "goes on after its end"),
            ("/v1/a:b/c", "goes on after its end"),
            ("/v1/x?y", "goes on after its end"),
            ("/v1/**/x", "`**` is not its last segment"),
            ("/v1/{a=**}/x", "`**` is not its last segment"),
            ("/v1/{a=**}/{b=**}", "`**` is not its last segment"),
            ("/v1/{a}/{a}", "binds a field twice"),
            ("/v1/%zz", "has a literal that is not percent-encoded UTF-8"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                Template::parse(text),
                Err(TemplateError(expected)),
                "{text}"
            );
        }
    }

    #[test]
    fn values_are_captured_and_decoded() {
        let cases: [(&str, &[&str], &[&str]); 6] = [
            ("/v1/{id}", &["v1", "7"], &["7"]),
            ("/v1/{id}", &["v1", "a%2Fb%20c"], &["a/b c"]),
            ("/v1/{name=x/*}", &["v1", "x", "a%2Fb%20c"], &["x/a%2Fb c"]),
            ("/v1/{path=**}", &["v1", "a", "b%2f", "c"], &["a/b%2f/c"]),
            ("/v1/{path=**}", &["v1"], &[""]),
            (
                "/v1/{a=x/*}/y/{b.c}",
                &["v1", "x", "1", "y", "2"],
                &["x/1", "2"],
            ),
        ];
        for (text, raw, expected) in cases {
            let template = Template::parse(text).unwrap();
            assert_eq!(template.capture(raw).unwrap(), expected, "{text} {raw:?}");
        }
        let template = Template::parse("/v1/{id}").unwrap();
        assert_eq!(template.capture(&["v1", "%ff"]), Err(NotDecodable));
    }

    #[test]
    fn a_path_is_made_from_values() {
        let cases: [(&str, &[&str], Option<&str>); 6] = [
            ("/v1/products/{id}", &["7"], Some("/v1/products/7")),
            (
                "/v1/products/{id}",
                &["a/b c"],
                Some("/v1/products/a%2Fb%20c"),
            ),
            (
                "/v1/{name=shelves/*}:read",
                &["shelves/1 2"],
                Some("/v1/shelves/1%202:read"),
            ),
            ("/v1/products/{id}", &[""], None),
            ("/v1/*/{id}", &["7"], None),
            ("/v1/products", &[], Some("/v1/products")),
        ];
        for (text, values, expected) in cases {
            assert_eq!(
                Template::parse(text).unwrap().expand(values).as_deref(),
                expected,
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_refused(text in "[/a-z{}.=*:%0-9]*|.*") {
            let _ = Template::parse(&text);
        }

        #[test]
        fn a_value_survives_the_path(value in ".+") {
            let template = Template::parse("/v1/{id}/x").unwrap();
            let path = template.expand(&[&value]).unwrap();
            let raw: Vec<&str> = path[1..].split('/').collect();
            prop_assert_eq!(template.capture(&raw).unwrap(), vec![value]);
        }
    }
}
