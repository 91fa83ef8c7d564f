//! A strict reader for the small JSON of a token (RFC 8259), over borrowed bytes.
//!
//! General parsers take the last of duplicate names, or round a large number; what two parsers
//! read differently is how a token means one thing to its issuer and another to its verifier. So
//! here a duplicate name refuses at any depth, integers are integers, and nesting ends early.

use std::borrow::Cow;

/// Deeper nesting than this is refused; the outermost object is level 1.
pub(crate) const MAX_DEPTH: u8 = 16;

/// Room for the names of an access token's members without allocating.
const USUAL_MEMBERS: usize = 16;

/// The names that an object has had so far.
struct Names<'a> {
    usual: [u64; USUAL_MEMBERS],
    count: usize,
    /// One that is too long to stand among the usual ones: an access token has `auth_time`.
    long: Option<Cow<'a, str>>,
    /// Those for whom there is no place.
    more: Vec<Cow<'a, str>>,
}

impl<'a> Names<'a> {
    fn new() -> Self {
        Self {
            usual: [0; USUAL_MEMBERS],
            count: 0,
            long: None,
            more: Vec::new(),
        }
    }

    /// Adds a name; false when it is there already.
    fn add(&mut self, name: Cow<'a, str>) -> bool {
        let number = as_number(&name);
        let known = match number {
            Some(number) => self
                .usual
                .iter()
                .take(self.count)
                .any(|held| *held == number),
            None => self.long.as_ref() == Some(&name),
        };
        if known || self.more.contains(&name) {
            return false;
        }
        match (number, self.usual.get_mut(self.count)) {
            (Some(number), Some(place)) => {
                *place = number;
                self.count += 1;
            }
            (None, _) if self.long.is_none() => self.long = Some(name),
            _ => self.more.push(name),
        }
        true
    }
}

/// A name of up to seven bytes, and its length, as a number: names are compared with all that came
/// before, and comparing numbers is no call.
fn as_number(name: &str) -> Option<u64> {
    let bytes = name.as_bytes();
    if bytes.len() > 7 {
        return None;
    }
    let shifted = |number, byte: &u8| number << 8 | u64::from(*byte);
    Some(bytes.iter().fold(bytes.len() as u64, shifted))
}

/// What was wrong with the text, for the audit log.
pub(crate) type Flaw = &'static str;

/// Reads one JSON object from `text`, giving each member's name to `member`, which must read
/// its value.
pub(crate) fn read_object<'a>(
    text: &'a [u8],
    member: impl FnMut(&mut Reader<'a>, &str) -> Result<(), Flaw>,
) -> Result<(), Flaw> {
    let text = std::str::from_utf8(text).map_err(|_| "the JSON is not UTF-8")?;
    let mut reader = Reader {
        text,
        at: 0,
        depth: 0,
    };
    reader.skip_whitespace();
    reader.object(member)?;
    reader.skip_whitespace();
    if reader.at == text.len() {
        Ok(())
    } else {
        Err("something follows the JSON object")
    }
}

/// A position in a JSON text.
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u8,
}

impl<'a> Reader<'a> {
    /// Reads an object here; see [`read_object`].
    pub(crate) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        self.open(b'{', "an object was expected")?;
        let mut names = Names::new();
        if !self.take(b'}') {
            loop {
                self.skip_whitespace();
                let name = self.string()?;
                self.skip_whitespace();
                self.expect(b':', "a colon was expected")?;
                self.skip_whitespace();
                member(self, &name)?;
                if !names.add(name) {
                    return Err("a member name stands twice");
                }
                self.skip_whitespace();
                if self.take(b'}') {
                    break;
                }
                self.expect(b',', "a comma or the object's end was expected")?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads an array here, calling `element` to read each element.
    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<(), Flaw>,
    ) -> Result<(), Flaw> {
        self.open(b'[', "an array was expected")?;
        if !self.take(b']') {
            loop {
                self.skip_whitespace();
                element(self)?;
                self.skip_whitespace();
                if self.take(b']') {
                    break;
                }
                self.expect(b',', "a comma or the array's end was expected")?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Reads a string; borrowed unless it holds escapes.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Flaw> {
        self.expect(b'"', "a string was expected")?;
        let mut unescaped: Option<String> = None;
        loop {
            let rest = &self.text[self.at..];
            let plain = first_special(rest.as_bytes()).ok_or("a string does not end")?;
            let (plain, special) = (&rest[..plain], rest.as_bytes()[plain]);
            self.at += plain.len() + 1;
            match (special, &mut unescaped) {
                (b'"', None) => return Ok(Cow::Borrowed(plain)),
                (b'"', Some(text)) => {
                    text.push_str(plain);
                    return Ok(Cow::Owned(std::mem::take(text)));
                }
                (b'\\', text) => {
                    let text = text.get_or_insert_with(String::new);
                    text.push_str(plain);
                    text.push(self.escape()?);
                }
                _ => return Err("a string holds a control character"),
            }
        }
    }

    /// Reads an integer of 64 bits, written without fraction or exponent.
    pub(crate) fn integer(&mut self) -> Result<i64, Flaw> {
        let start = self.at;
        self.integer_digits()?;
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err("an integer was expected");
        }
        match &self.text[start..self.at] {
            // Two spellings of zero are one too many.
            "-0" => Err("an integer was expected"),
            digits => digits.parse().map_err(|_| "an integer is out of range"),
        }
    }

    /// Reads any value and drops it, holding it to the same rules.
    pub(crate) fn skip_value(&mut self) -> Result<(), Flaw> {
        match self.peek() {
            Some(b'{') => self.object(|reader, _| reader.skip_value()),
            Some(b'[') => self.array(Self::skip_value),
            Some(b'"') => self.string().map(drop),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => self.number(),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Flaw> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err("a value was expected")
        }
    }

    fn number(&mut self) -> Result<(), Flaw> {
        self.integer_digits()?;
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn integer_digits(&mut self) -> Result<(), Flaw> {
        let _sign = self.take(b'-');
        if self.take(b'0') {
            return match self.peek() {
                Some(b'0'..=b'9') => Err("a number begins with a zero"),
                _ => Ok(()),
            };
        }
        self.digits()
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err("a value was expected");
        }
        Ok(())
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char, Flaw> {
        let Some(kind) = self.peek() else {
            return Err("a string does not end");
        };
        self.at += 1;
        Ok(match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err("an escape is unknown"),
        })
    }

    fn unicode_escape(&mut self) -> Result<char, Flaw> {
        const LONE: Flaw = "half of a surrogate pair stands alone";
        let first = self.four_hex_digits()?;
        let scalar = if (0xd800..0xdc00).contains(&first) {
            self.expect(b'\\', LONE)?;
            self.expect(b'u', LONE)?;
            let second = self.four_hex_digits()?;
            if !(0xdc00..0xe000).contains(&second) {
                return Err(LONE);
            }
            0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
        } else {
            first
        };
        char::from_u32(scalar).ok_or(LONE)
    }

    fn four_hex_digits(&mut self) -> Result<u32, Flaw> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self
                .peek()
                .and_then(|byte| char::from(byte).to_digit(16))
                .ok_or("an escape needs four hexadecimal digits")?;
            self.at += 1;
            value = value * 16 + digit;
        }
        Ok(value)
    }

    fn open(&mut self, bracket: u8, flaw: Flaw) -> Result<(), Flaw> {
        self.expect(bracket, flaw)?;
        if self.depth == MAX_DEPTH {
            return Err("the JSON is nested too deeply");
        }
        self.depth += 1;
        self.skip_whitespace();
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8, flaw: Flaw) -> Result<(), Flaw> {
        if self.take(byte) { Ok(()) } else { Err(flaw) }
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

/// Where the first quote, backslash or control character stands. Eight bytes at a time: a token is
/// mostly the inside of strings. The formulas are those of "Bit Twiddling Hacks" (Anderson), "Determine
/// if a word has a byte less than n"; what they find wrongly lies only behind what they find rightly.
fn first_special(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = ONES << 7;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word & HIGHS;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = below(word, 0x20) | equal(word, b'"') | equal(word, b'\\');
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let special = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    let found = rest.iter().position(special)?;
    Some(words.len() * 8 + found)
}

#[cfg(test)]
mod tests;
