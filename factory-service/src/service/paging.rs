//! Pages that are also bounded by what they weigh. A page may be shorter than what was asked for (AIP-158): its token
//! says that more follows.

use millgate_platform::page::Page;
use millgate_platform::{Cursor, Fault, Reason};
use prost::Message;

/// The most bytes of the resources of one page. A client takes 4 MiB of a message by default (grpc's own limit), and
/// the same in JSON is up to three times as long.
pub(super) const PAGE_BYTES: usize = 1024 * 1024;
/// The most bytes of an answer that cannot be cut: below what a client takes, with room for the frame.
pub(super) const ANSWER_BYTES: usize = 3 * 1024 * 1024;

/// The messages of a page, from rows that were fetched with [`Page::limit`]: as many as were asked for and as fit, but
/// at least one, and the token of the next page.
pub(super) fn fitting<T, M: Message>(
    page: &Page,
    rows: &[T],
    cursor: impl Fn(&T) -> Cursor,
    message: impl Fn(&T) -> M,
) -> (Vec<M>, String) {
    fitting_of_more(page, (rows, false), cursor, message)
}

/// As [`fitting`], where rows may follow that were not fetched: heavy ones, of which a few are read at a time.
pub(super) fn fitting_of_more<T, M: Message>(
    page: &Page,
    (rows, more_follow): (&[T], bool),
    cursor: impl Fn(&T) -> Cursor,
    message: impl Fn(&T) -> M,
) -> (Vec<M>, String) {
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let (mut messages, mut bytes) = (Vec::new(), 0_usize);
    for row in rows.iter().take(size) {
        let message = message(row);
        bytes = bytes.saturating_add(message.encoded_len());
        if bytes > PAGE_BYTES && !messages.is_empty() {
            break;
        }
        messages.push(message);
    }
    let last = messages.len().checked_sub(1).and_then(|at| rows.get(at));
    let next = match last {
        Some(last) if more_follow || messages.len() < rows.len() => page.token(&cursor(last)),
        _ => String::new(),
    };
    (messages, next)
}

/// An answer that was asked for as a whole, unless it is larger than a client takes.
///
/// # Errors
/// MESSAGE_TOO_LARGE.
pub(super) fn whole<M: Message>(messages: Vec<M>, field: &str) -> Result<Vec<M>, Fault> {
    let bytes: usize = messages.iter().map(Message::encoded_len).sum();
    if bytes > ANSWER_BYTES {
        return Err(Fault::new(
            Reason::MessageTooLarge,
            format!(
                "the answer would have {bytes} bytes, {ANSWER_BYTES} at most: fewer `{field}` at once"
            ),
        ));
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use millgate_platform::{PageKey, PageRequest};

    fn page(size: i32) -> Page {
        PageRequest::parse(size, "", b"", &PageKey::new(&[1; 32])).expect("a page")
    }

    fn cut(rows: &[String], size: i32) -> (usize, bool) {
        let (messages, next) = fitting(&page(size), rows, |_| Cursor::id(1), String::clone);
        (messages.len(), !next.is_empty())
    }

    #[test]
    fn a_page_ends_where_it_grows_heavy_and_says_that_more_follows() {
        let light: Vec<String> = (0..4).map(|n| n.to_string()).collect();
        assert_eq!(cut(&light, 3), (3, true));
        assert_eq!(cut(&light, 4), (4, false));
        let heavy: Vec<String> = (0..4).map(|_| "x".repeat(PAGE_BYTES / 2)).collect();
        assert_eq!(cut(&heavy[..3], 3), (1, true));
        let too_heavy = ["x".repeat(PAGE_BYTES * 2), String::new()];
        assert_eq!(cut(&too_heavy, 9), (1, true));
        assert_eq!(cut(&[], 9), (0, false));
    }

    #[test]
    fn an_answer_that_no_client_takes_is_refused() {
        let fault = whole(vec!["x".repeat(ANSWER_BYTES + 1)], "ids").expect_err("too large");
        assert_eq!(fault.reason(), Reason::MessageTooLarge);
        assert!(whole(vec!["x".to_owned()], "ids").is_ok());
    }
}
