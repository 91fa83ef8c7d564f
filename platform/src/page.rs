//! Pages of a list: sizes as AIP-158 says, and sealed tokens.
//!
//! A page token holds the key of the last row and a MAC over it and over what the list was
//! filtered by and for whom. A token that was altered, or is used with another filter or by
//! another caller, is `PAGE_TOKEN_INVALID`.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::hmac;

use crate::fault::{Fault, Reason};

/// Rows of a page when the request does not say.
pub const DEFAULT_SIZE: i64 = 50;
/// Rows of a page at most; more are asked for in vain but not in error.
pub const LARGEST_SIZE: i64 = 1000;

/// Longest token that is looked at.
const LONGEST_TOKEN: usize = 8 * 1024;
const SEAL: usize = 16;
const INT: u8 = 1;
const TEXT: u8 = 2;
const NONE: u8 = 0;

/// The key that seals the page tokens of one service.
#[derive(Clone)]
pub struct PageKey(hmac::Key);

impl PageKey {
    /// From 32 bytes, e.g. `secrets.derive("page tokens")`.
    pub fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }
}

impl std::fmt::Debug for PageKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PageKey")
    }
}

/// What a list is bound to: its caller and its filter, without ambiguity between the parts.
///
/// ```
/// # use millgate_platform::page::Binding;
/// let binding = Binding::new("user:7").with("state", "PLACED").with("order_by", "id");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding(Vec<u8>);

impl Binding {
    /// For this caller ([`Caller::key`](millgate_guard::Caller::key)) and no filter yet.
    pub fn new(caller: &str) -> Self {
        let mut binding = Self(Vec::new());
        binding.push(caller.as_bytes());
        binding
    }

    /// Adds one part of the filter.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.push(name.as_bytes());
        self.push(value.to_string().as_bytes());
        self
    }

    /// The bytes, for [`PageRequest::parse`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn push(&mut self, part: &[u8]) {
        self.0.extend_from_slice(&(part.len() as u64).to_be_bytes());
        self.0.extend_from_slice(part);
    }
}

impl AsRef<[u8]> for Binding {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// The place where a page ends: the id of its last row and, where the list is sorted by
/// something else, that row's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The value that the list is sorted by; `None` where that is the id.
    pub sort: Option<SortValue>,
    /// The id, the tie-breaker.
    pub id: i64,
}

/// The value of the column that a list is sorted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SortValue {
    /// A number or a time.
    Int(i64),
    /// A text.
    Text(String),
}

impl Cursor {
    /// For a list that is sorted by id.
    pub fn id(id: i64) -> Self {
        Self { sort: None, id }
    }

    /// For a list sorted by a number or a time, then by id.
    pub fn int(value: i64, id: i64) -> Self {
        Self {
            sort: Some(SortValue::Int(value)),
            id,
        }
    }

    /// For a list sorted by a text, then by id.
    pub fn text(value: impl Into<String>, id: i64) -> Self {
        Self {
            sort: Some(SortValue::Text(value.into())),
            id,
        }
    }

    /// The number that the list is sorted by.
    pub fn sort_int(&self) -> Option<i64> {
        match &self.sort {
            Some(SortValue::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// The text that the list is sorted by.
    pub fn sort_text(&self) -> Option<&str> {
        match &self.sort {
            Some(SortValue::Text(value)) => Some(value),
            _ => None,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.id.to_be_bytes().to_vec();
        match &self.sort {
            None => bytes.push(NONE),
            Some(SortValue::Int(value)) => {
                bytes.push(INT);
                bytes.extend_from_slice(&value.to_be_bytes());
            }
            Some(SortValue::Text(value)) => {
                bytes.push(TEXT);
                bytes.extend_from_slice(value.as_bytes());
            }
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_first_chunk::<8>()?;
        let (kind, value) = rest.split_first()?;
        let sort = match *kind {
            NONE if value.is_empty() => None,
            INT => Some(SortValue::Int(i64::from_be_bytes(value.try_into().ok()?))),
            TEXT => Some(SortValue::Text(String::from_utf8(value.to_vec()).ok()?)),
            _ => return None,
        };
        Some(Self {
            sort,
            id: i64::from_be_bytes(*id),
        })
    }
}

/// Parses what a list request says about its page.
#[derive(Debug)]
pub struct PageRequest;

/// A page that was asked for.
#[derive(Debug, Clone)]
pub struct Page {
    /// Rows of the page.
    pub size: i64,
    /// Where the page before ended; `None` for the first page.
    pub after: Option<Cursor>,
    binding: Vec<u8>,
    key: PageKey,
}

impl PageRequest {
    /// Checks the size and opens the token. `binding` says what the list is bound to
    /// ([`Binding`]).
    ///
    /// A size of 0 means [`DEFAULT_SIZE`], more than [`LARGEST_SIZE`] means that.
    ///
    /// # Errors
    /// `FIELD_INVALID` for a negative size, `PAGE_TOKEN_INVALID` for a token that is not ours
    /// or belongs to another list.
    pub fn parse(
        page_size: i32,
        page_token: &str,
        binding: impl AsRef<[u8]>,
        key: &PageKey,
    ) -> Result<Page, Fault> {
        let size = match i64::from(page_size) {
            ..0 => return Err(Fault::field("page_size", "must not be negative")),
            0 => DEFAULT_SIZE,
            size => size.min(LARGEST_SIZE),
        };
        let mut page = Page {
            size,
            after: None,
            binding: binding.as_ref().to_vec(),
            key: key.clone(),
        };
        if !page_token.is_empty() {
            page.after = Some(page.open(page_token).ok_or_else(|| {
                Fault::new(
                    Reason::PageTokenInvalid,
                    "page_token does not belong to this list; start again without it",
                )
            })?);
        }
        Ok(page)
    }
}

impl Page {
    /// How many rows to fetch: one more than the page holds, to know whether another follows.
    pub fn limit(&self) -> i64 {
        self.size + 1
    }

    /// The id after which the page begins in a list sorted by ascending id; 0 for the first.
    pub fn after_id(&self) -> i64 {
        self.after.as_ref().map_or(0, |cursor| cursor.id)
    }

    /// The token of the page that begins after this row.
    pub fn token(&self, cursor: &Cursor) -> String {
        let mut bytes = cursor.encode();
        let seal = self.seal(&bytes);
        bytes.extend_from_slice(&seal.as_ref()[..SEAL]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Cuts what was fetched with [`Page::limit`] down to the page; gives the rows and the
    /// next page's token, empty on the last page.
    pub fn finish<T>(&self, mut rows: Vec<T>, cursor: impl Fn(&T) -> Cursor) -> (Vec<T>, String) {
        let size = usize::try_from(self.size).unwrap_or(usize::MAX);
        let more = rows.len() > size;
        rows.truncate(size);
        let next = match rows.last() {
            Some(last) if more => self.token(&cursor(last)),
            _ => String::new(),
        };
        (rows, next)
    }

    fn seal(&self, payload: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key.0);
        context.update(&(payload.len() as u64).to_be_bytes());
        context.update(payload);
        context.update(&self.binding);
        context.sign()
    }

    fn open(&self, token: &str) -> Option<Cursor> {
        if token.len() > LONGEST_TOKEN {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (payload, seal) = bytes.split_last_chunk::<SEAL>()?;
        let expected = self.seal(payload);
        let same = subtle::ConstantTimeEq::ct_eq(&expected.as_ref()[..SEAL], seal.as_slice());
        if bool::from(same) {
            Cursor::decode(payload)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> PageKey {
        PageKey::new(&[9; 32])
    }

    fn first() -> Page {
        PageRequest::parse(0, "", Binding::new("user:1"), &key()).expect("a first page")
    }

    fn open(token: &str, binding: &Binding) -> Result<Page, Fault> {
        PageRequest::parse(0, token, binding, &key())
    }

    #[test]
    fn sizes_are_as_aip_158_says() {
        for (asked, got) in [
            (0, 50),
            (1, 1),
            (1000, 1000),
            (1001, 1000),
            (i32::MAX, 1000),
        ] {
            let page = PageRequest::parse(asked, "", b"", &key()).expect("a size");
            assert_eq!(page.size, got, "{asked}");
        }
        let fault = PageRequest::parse(-1, "", b"", &key()).expect_err("negative");
        assert_eq!(fault.reason(), Reason::FieldInvalid);
    }

    #[test]
    fn a_token_leads_back_to_its_row() {
        for cursor in [
            Cursor::id(7),
            Cursor::int(i64::MIN, i64::MAX),
            Cursor::text("żółć", 3),
            Cursor::text("", 3),
        ] {
            let token = first().token(&cursor);
            let page = open(&token, &Binding::new("user:1")).expect("our own token");
            assert_eq!(page.after, Some(cursor));
        }
    }

    #[test]
    fn a_token_of_another_caller_filter_or_key_is_refused() {
        let token = first().token(&Cursor::id(7));
        for other in [
            Binding::new("user:2"),
            Binding::new("user:1").with("state", "x"),
            Binding::new("").with("user:1", ""),
        ] {
            let fault = open(&token, &other).expect_err("another list");
            assert_eq!(fault.reason(), Reason::PageTokenInvalid);
        }
        let other_key = PageKey::new(&[8; 32]);
        assert!(PageRequest::parse(0, &token, Binding::new("user:1"), &other_key).is_err());
    }

    #[test]
    fn no_changed_byte_of_a_token_passes() {
        let token = first().token(&Cursor::text("abc", 7));
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(bytes).expect("ascii");
            assert!(open(&forged, &Binding::new("user:1")).is_err(), "byte {at}");
        }
        for junk in [
            "A",
            "====",
            "%00",
            &"A".repeat(100_000),
            &format!("{token}="),
        ] {
            assert!(open(junk, &Binding::new("user:1")).is_err());
        }
    }

    #[test]
    fn parts_of_a_filter_cannot_be_shifted_into_each_other() {
        let one = Binding::new("a").with("bc", "d");
        let other = Binding::new("a").with("b", "cd");
        assert_ne!(one, other);
    }

    #[test]
    fn the_last_page_has_no_token() {
        let page = PageRequest::parse(2, "", b"", &key()).expect("a page");
        let (rows, next) = page.finish(vec![1, 2, 3], |id| Cursor::id(*id));
        assert_eq!(rows, [1, 2]);
        let second = PageRequest::parse(2, &next, b"", &key()).expect("the second");
        assert_eq!(second.after_id(), 2);
        assert_eq!(
            second.finish(vec![3, 4], |id| Cursor::id(*id)),
            (vec![3, 4], String::new())
        );
    }
}
