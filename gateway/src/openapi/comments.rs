//! What the proto files say of their services, methods, messages and fields, in their comments.

use prost_reflect::DescriptorPool;
use std::collections::HashMap;

/// The comments of a descriptor set that was made with its source information.
#[derive(Debug)]
pub(super) struct Comments(HashMap<(String, Vec<i32>), String>);

impl Comments {
    /// Reads them all. A set without source information has none.
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        let mut comments = HashMap::new();
        for file in pool.files() {
            let proto = file.file_descriptor_proto();
            let locations = proto
                .source_code_info
                .iter()
                .flat_map(|info| &info.location);
            for location in locations {
                let Some(text) = location.leading_comments.as_deref() else {
                    continue;
                };
                let at = (file.name().to_owned(), location.path.clone());
                comments.insert(at, cleaned(text));
            }
        }
        Self(comments)
    }

    /// The comment before the element at this path of a file; empty where there is none.
    pub(super) fn at(&self, file: &str, path: &[i32]) -> &str {
        self.0
            .get(&(file.to_owned(), path.to_vec()))
            .map_or("", String::as_str)
    }
}

/// Without the blank after the slashes. Lines of one paragraph become one line, as in Markdown they are.
fn cleaned(text: &str) -> String {
    let mut cleaned = String::new();
    let mut lines = text.trim().lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        cleaned += line;
        match lines.peek() {
            None => {}
            Some(next) if line.is_empty() || next.is_empty() => cleaned.push('\n'),
            Some(next) if next.starts_with("- ") => cleaned.push('\n'),
            Some(_) => cleaned.push(' '),
        }
    }
    cleaned
}

/// The first sentence, without its full stop.
pub(super) fn summary(comment: &str) -> &str {
    let paragraph = comment.split("\n\n").next().unwrap_or_default();
    let end = paragraph.find(". ").or_else(|| paragraph.find(": "));
    let sentence = end.map_or(paragraph, |end| &paragraph[..end]);
    sentence.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_becomes_paragraphs() {
        let text = " Makes a product.\n Goes on.\n\n Another paragraph:\n - a\n - b\n";
        assert_eq!(
            cleaned(text),
            "Makes a product. Goes on.\n\nAnother paragraph:\n- a\n- b"
        );
    }

    #[test]
    fn the_first_sentence_is_the_summary() {
        let cases = [
            ("Makes a product.", "Makes a product"),
            ("Makes a product. Twice.", "Makes a product"),
            ("Deletes a product: it is gone.", "Deletes a product"),
            ("One.\n\nTwo.", "One"),
            ("", ""),
        ];
        for (comment, expected) in cases {
            assert_eq!(summary(comment), expected);
        }
    }
}
