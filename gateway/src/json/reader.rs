//! A pull parser for JSON (RFC 8259), strict: no comments, no trailing commas, no lone surrogates, no invalid UTF-8,
//! nothing after the value. It builds no tree, so that a small body cannot become a large one in memory.

use std::borrow::Cow;

/// How deep arrays and objects may stand in each other. A protobuf parser stops at 100 messages.
pub(super) const MOST_DEPTH: usize = 64;

/// Where and why a text is not JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {cause}")]
pub(super) struct Malformed {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// What is wrong there.
    pub cause: &'static str,
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `{`
    Object,
    /// `[`
    Array,
    /// `"`
    String,
    /// `-` or a digit
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

impl Kind {
    /// The kind's name for a message to people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Object => "an object",
            Self::Array => "an array",
            Self::String => "a string",
            Self::Number => "a number",
            Self::True | Self::False => "a boolean",
            Self::Null => "null",
        }
    }
}

/// The parser: where it stands in the text. A copy of it looks ahead.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Begins with a text, which must be UTF-8.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self {
                text,
                at: 0,
                depth: 0,
            }),
            Err(error) => {
                let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
                let text = std::str::from_utf8(good).unwrap_or_default();
                Err(malformed(text, text.len(), "not UTF-8"))
            }
        }
    }

    /// What comes next.
    pub(super) fn peek(&mut self) -> Result<Kind, Malformed> {
        self.skip_space();
        match self.byte() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'"') => Ok(Kind::String),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') => Ok(Kind::True),
            Some(b'f') => Ok(Kind::False),
            Some(b'n') => Ok(Kind::Null),
            Some(_) => Err(self.fault("a value is expected")),
            None => Err(self.fault("the text ends too early")),
        }
    }

    /// Enters an array or an object, whichever [`peek`](Self::peek) told.
    pub(super) fn enter(&mut self) -> Result<(), Malformed> {
        if self.depth == MOST_DEPTH {
            return Err(self.fault("nested too deep"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// The next member's name in an object; `None` at its end, which is left. `first` says that none was read yet.
    pub(super) fn member(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Malformed> {
        if !self.another(b'}', first)? {
            return Ok(None);
        }
        if self.byte() != Some(b'"') {
            return Err(self.fault("a member's name is expected"));
        }
        let name = self.string()?;
        self.skip_space();
        if self.byte() != Some(b':') {
            return Err(self.fault("`:` is expected"));
        }
        self.at += 1;
        Ok(Some(name))
    }

    /// Whether there is another element in an array; at its end it is left.
    pub(super) fn element(&mut self, first: bool) -> Result<bool, Malformed> {
        self.another(b']', first)
    }

    fn another(&mut self, close: u8, first: bool) -> Result<bool, Malformed> {
        self.skip_space();
        match self.byte() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            Some(_) if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                self.skip_space();
                Ok(true)
            }
            Some(_) => Err(self.fault("`,` or the end of the array or object is expected")),
            None => Err(self.fault("the text ends too early")),
        }
    }

    /// Reads a string.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        self.at += 1;
        let mut owned: Option<String> = None;
        let mut start = self.at;
        loop {
            match self.byte() {
                None => return Err(self.fault("a string is not closed")),
                Some(b'"') => {
                    let part = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(match owned {
                        None => Cow::Borrowed(part),
                        Some(text) => Cow::Owned(text + part),
                    });
                }
                Some(b'\\') => {
                    let text = owned.get_or_insert_default();
                    text.push_str(&self.text[start..self.at]);
                    let character = self.escape()?;
                    owned.get_or_insert_default().push(character);
                    start = self.at;
                }
                Some(0..=0x1f) => return Err(self.fault("a control character in a string")),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        self.at += 1;
        let byte = self.byte();
        let character = match byte {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode();
            }
            _ => return Err(self.fault("an unknown escape in a string")),
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode(&mut self) -> Result<char, Malformed> {
        const LONE: &str = "a lone surrogate in a string";
        let first = self.hexadecimal()?;
        let code = if (0xd800..0xdc00).contains(&first) {
            if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                return Err(self.fault(LONE));
            }
            self.at += 2;
            let second = self.hexadecimal()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(self.fault(LONE));
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(code).ok_or_else(|| self.fault(LONE))
    }

    fn hexadecimal(&mut self) -> Result<u32, Malformed> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let code = digits.and_then(|digits| {
            digits.iter().try_fold(0, |code, digit| {
                char::from(*digit)
                    .to_digit(16)
                    .map(|value| code << 4 | value)
            })
        });
        match code {
            Some(code) => {
                self.at += 4;
                Ok(code)
            }
            None => Err(self.fault("four hexadecimal digits are expected")),
        }
    }

    /// Reads a number, as it is written.
    pub(super) fn number(&mut self) -> Result<&'a str, Malformed> {
        let start = self.at;
        let length = number_length(&self.text[start..]);
        if length == 0 {
            return Err(self.fault("not a number"));
        }
        self.at += length;
        Ok(&self.text[start..self.at])
    }

    /// Reads `true`, `false` or `null`.
    pub(super) fn literal(&mut self, text: &'static str) -> Result<(), Malformed> {
        if !self.text[self.at..].starts_with(text) {
            return Err(self.fault("a value is expected"));
        }
        self.at += text.len();
        Ok(())
    }

    /// Reads a value of any kind, and gives its text.
    pub(super) fn skip(&mut self) -> Result<&'a str, Malformed> {
        let kind = self.peek()?;
        let start = self.at;
        match kind {
            Kind::Object => {
                self.enter()?;
                let mut first = true;
                while self.member(first)?.is_some() {
                    self.skip()?;
                    first = false;
                }
            }
            Kind::Array => {
                self.enter()?;
                let mut first = true;
                while self.element(first)? {
                    self.skip()?;
                    first = false;
                }
            }
            Kind::String => drop(self.string()?),
            Kind::Number => drop(self.number()?),
            Kind::True => self.literal("true")?,
            Kind::False => self.literal("false")?,
            Kind::Null => self.literal("null")?,
        }
        Ok(&self.text[start..self.at])
    }

    /// Fails if there is anything but white space left.
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        self.skip_space();
        match self.byte() {
            None => Ok(()),
            Some(_) => Err(self.fault("something follows the value")),
        }
    }

    /// The fault, at the place where the parser stands.
    pub(super) fn fault(&self, cause: &'static str) -> Malformed {
        malformed(self.text, self.at, cause)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
    }
}

fn malformed(text: &str, at: usize, cause: &'static str) -> Malformed {
    // A byte of a longer character is counted with that character.
    let at = (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or_default();
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Malformed {
        line: before.bytes().filter(|byte| *byte == b'\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        cause,
    }
}

/// The length of the JSON number that a text begins with; 0 where there is none.
pub(super) fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| {
        bytes[from.min(bytes.len())..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let mut at = usize::from(bytes.first() == Some(&b'-'));
    let integer = digits(at);
    // A leading zero stands alone; `012` ends after its `0` and what follows is not JSON.
    at += match bytes.get(at) {
        Some(b'0') => 1,
        _ if integer == 0 => return 0,
        _ => integer,
    };
    if bytes.get(at) == Some(&b'.') {
        let fraction = digits(at + 1);
        if fraction == 0 {
            return 0;
        }
        at += 1 + fraction;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let exponent = digits(at + 1 + sign);
        if exponent == 0 {
            return 0;
        }
        at += 1 + sign + exponent;
    }
    at
}

#[cfg(test)]
mod tests;
