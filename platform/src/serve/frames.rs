//! The frames of a request, counted and measured before tonic reads them.
//!
//! A gRPC body is a row of messages, each behind five bytes: a compression flag and a length
//! ("Length-Prefixed-Message"). tonic answers INTERNAL or OUT_OF_RANGE to what is wrong with
//! them and takes two messages for one; here each case gets the answer that the design pins.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tonic::Status;

use crate::fault::{Fault, Reason};

const HEADER: usize = 5;

pin_project_lite::pin_project! {
    /// A request body that ends in an error as soon as its frames break the rules.
    pub(super) struct CheckedBody<B> {
        #[pin]
        inner: B,
        check: Check,
        failed: bool,
    }
}

impl<B> CheckedBody<B> {
    /// `streams` says whether more than one message may come; `largest` is the most bytes of
    /// one message.
    pub(super) fn new(inner: B, streams: bool, largest: usize) -> Self {
        Self {
            inner,
            check: Check::new(streams, largest),
            failed: false,
        }
    }
}

impl<B> Body for CheckedBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.project();
        if *this.failed {
            return Poll::Ready(None);
        }
        let checked = match ready!(this.inner.poll_frame(context)) {
            None => this.check.end().map(|()| None),
            // A body that breaks off is the caller's doing: a reset, or a lost connection.
            Some(Err(_)) => Err(Fault::new(Reason::Cancelled, "the request broke off")),
            Some(Ok(frame)) => match frame.data_ref() {
                Some(data) => this.check.data(data).map(|()| Some(frame)),
                None => Ok(Some(frame)),
            },
        };
        Poll::Ready(match checked {
            Ok(frame) => frame.map(Ok),
            Err(fault) => {
                *this.failed = true;
                Some(Err(fault.into()))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        // Even an empty body must be polled once, for `end` to miss its message.
        self.failed
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Where in the row of messages the body stands.
#[derive(Debug)]
struct Check {
    streams: bool,
    largest: usize,
    messages: u64,
    header: [u8; HEADER],
    header_filled: usize,
    body_left: usize,
}

impl Check {
    fn new(streams: bool, largest: usize) -> Self {
        Self {
            streams,
            largest,
            messages: 0,
            header: [0; HEADER],
            header_filled: 0,
            body_left: 0,
        }
    }

    fn data(&mut self, mut data: &[u8]) -> Result<(), Fault> {
        while !data.is_empty() {
            if self.body_left > 0 {
                let taken = self.body_left.min(data.len());
                self.body_left -= taken;
                data = &data[taken..];
                continue;
            }
            if self.header_filled == 0 && self.messages > 0 && !self.streams {
                return Err(malformed("more than one message was sent"));
            }
            let taken = (HEADER - self.header_filled).min(data.len());
            self.header[self.header_filled..self.header_filled + taken]
                .copy_from_slice(&data[..taken]);
            self.header_filled += taken;
            data = &data[taken..];
            if self.header_filled == HEADER {
                self.begin_message()?;
            }
        }
        Ok(())
    }

    fn begin_message(&mut self) -> Result<(), Fault> {
        let [flag, length @ ..] = self.header;
        if flag > 1 {
            return Err(malformed("the compression flag is neither 0 nor 1"));
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > self.largest {
            return Err(Fault::new(
                Reason::MessageTooLarge,
                format!(
                    "the message has {length} bytes, at most {} are taken",
                    self.largest
                ),
            ));
        }
        self.header_filled = 0;
        self.body_left = length;
        self.messages += 1;
        Ok(())
    }

    fn end(&self) -> Result<(), Fault> {
        if self.header_filled > 0 || self.body_left > 0 {
            return Err(malformed("the message broke off"));
        }
        if self.messages == 0 && !self.streams {
            return Err(malformed("no message was sent"));
        }
        Ok(())
    }
}

fn malformed(what: &str) -> Fault {
    Fault::new(Reason::MessageMalformed, what)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&u32::try_from(length).expect("small").to_be_bytes());
        bytes.resize(HEADER + length, 7);
        bytes
    }

    fn run(streams: bool, pieces: &[&[u8]]) -> Result<(), Reason> {
        let mut check = Check::new(streams, 100);
        for piece in pieces {
            check.data(piece).map_err(|fault| fault.reason())?;
        }
        check.end().map_err(|fault| fault.reason())
    }

    #[test]
    fn a_unary_call_has_exactly_one_message() {
        let two = [message(3), message(3)].concat();
        assert_eq!(run(false, &[&message(3)]), Ok(()));
        assert_eq!(run(false, &[&message(0)]), Ok(()));
        assert_eq!(run(false, &[&two]), Err(Reason::MessageMalformed));
        assert_eq!(
            run(false, &[&message(3), &[0]]),
            Err(Reason::MessageMalformed)
        );
        assert_eq!(run(false, &[]), Err(Reason::MessageMalformed));
        assert_eq!(run(true, &[&two]), Ok(()));
        assert_eq!(run(true, &[]), Ok(()));
    }

    #[test]
    fn a_message_that_is_too_large_is_refused_by_its_header_alone() {
        assert_eq!(run(false, &[&message(100)]), Ok(()));
        assert_eq!(
            run(false, &[&message(101)[..5]]),
            Err(Reason::MessageTooLarge)
        );
        assert_eq!(
            run(true, &[&[0, 255, 255, 255, 255]]),
            Err(Reason::MessageTooLarge)
        );
    }

    #[test]
    fn a_message_that_breaks_off_or_has_a_strange_flag_is_malformed() {
        assert_eq!(
            run(false, &[&message(9)[..13]]),
            Err(Reason::MessageMalformed)
        );
        assert_eq!(run(true, &[&[0, 0]]), Err(Reason::MessageMalformed));
        assert_eq!(
            run(true, &[&[2, 0, 0, 0, 0]]),
            Err(Reason::MessageMalformed)
        );
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_changes_nothing(
            bytes in proptest::collection::vec(0u8..3, 0..60),
            cut in 0usize..60,
            streams: bool,
        ) {
            let cut = cut.min(bytes.len());
            let whole = run(streams, &[&bytes]);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(run(streams, &[&bytes[..cut], &bytes[cut..]]), whole);
            prop_assert_eq!(run(streams, &single), whole);
        }
    }
}
