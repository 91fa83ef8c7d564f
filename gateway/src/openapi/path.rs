//! Path templates as OpenAPI writes them: each wildcard is a parameter with a name.

use crate::template::{Segment, Template};
use prost_reflect::FieldDescriptor;

/// A path of the document.
#[derive(Debug)]
pub(super) struct Path<'b> {
    pieces: Vec<Piece>,
    verb: Option<String>,
    /// The parameters, from left to right.
    pub(super) parameters: Vec<Parameter<'b>>,
}

#[derive(Debug)]
enum Piece {
    Literal(String),
    Parameter,
}

/// One wildcard of a path.
#[derive(Debug)]
pub(super) struct Parameter<'b> {
    /// What it is called, unless a path of the same shape calls it otherwise.
    pub(super) name: String,
    /// The field that it is a part of.
    pub(super) field: Option<&'b FieldDescriptor>,
    /// Whether it is the whole of the field.
    pub(super) whole: bool,
    /// Whether it takes slashes, too (`**`), which OpenAPI cannot say.
    pub(super) rest: bool,
}

impl<'b> Path<'b> {
    /// The path of a template whose variables hold these fields.
    pub(super) fn new(template: &Template, fields: &'b [Vec<FieldDescriptor>]) -> Self {
        let mut path = Self {
            pieces: Vec::new(),
            verb: template.verb().map(str::to_owned),
            parameters: Vec::new(),
        };
        for (at, segment) in template.segments().iter().enumerate() {
            if let Segment::Literal(literal) = segment {
                path.pieces.push(Piece::Literal(literal.clone()));
                continue;
            }
            let holds = |variable: &crate::template::Variable| variable.segments.contains(&at);
            let index = template.variables().iter().position(holds);
            let field = index.and_then(|index| fields[index].last());
            let whole = index.is_some_and(|index| template.variables()[index].segments.len() == 1);
            path.pieces.push(Piece::Parameter);
            path.parameters.push(Parameter {
                name: path.free_name(field.map_or("segment", FieldDescriptor::name)),
                field,
                whole,
                rest: *segment == Segment::Rest,
            });
        }
        path
    }

    /// The same for every path that takes the same requests: OpenAPI has one entry for them.
    pub(super) fn shape(&self) -> String {
        self.text(&vec![""; self.parameters.len()])
    }

    /// As it stands in the document, with these names.
    pub(super) fn text<S: AsRef<str>>(&self, names: &[S]) -> String {
        let mut names = names.iter();
        let mut text = String::new();
        for piece in &self.pieces {
            text.push('/');
            match piece {
                Piece::Literal(literal) => text += literal,
                Piece::Parameter => {
                    let name = names.next().map_or("", AsRef::as_ref);
                    text += &format!("{{{name}}}");
                }
            }
        }
        if let Some(verb) = &self.verb {
            text += &format!(":{verb}");
        }
        text
    }

    fn free_name(&self, name: &str) -> String {
        let taken = |name: &str| {
            self.parameters
                .iter()
                .any(|parameter| parameter.name == name)
        };
        if !taken(name) {
            return name.to_owned();
        }
        (2..)
            .map(|number| format!("{name}_{number}"))
            .find(|name| !taken(name))
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_becomes_a_path_with_named_parameters() {
        let cases = [
            ("/v1/products", "/v1/products", 0),
            ("/v1/*/x/*:do", "/v1/{segment}/x/{segment_2}:do", 2),
            ("/v1/**", "/v1/{segment}", 1),
        ];
        for (template, expected, parameters) in cases {
            let template = Template::parse(template).unwrap();
            let path = Path::new(&template, &[]);
            let names: Vec<&str> = path
                .parameters
                .iter()
                .map(|parameter| parameter.name.as_str())
                .collect();
            assert_eq!(path.text(&names), expected);
            assert_eq!(names.len(), parameters);
        }
    }
}
