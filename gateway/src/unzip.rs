//! gzip of a body that is read as it comes: unpacked in pieces of a bounded size, and to no more than a text can have been.

use crate::problem::{Problem, reason};
use flate2::write::GzDecoder;
use std::io::Write as _;
use tonic::Code;

/// So much is unpacked at once: it becomes a MiB at most, as gzip packs a thousandfold.
const AT_ONCE: usize = 1024;
/// How many times larger than what was sent what it becomes may be. Tables are packed ten or twenty times.
const MOST_TIMES: u64 = 100;
/// A small body may be anything.
const FREE: u64 = 1024 * 1024;

/// A gzip stream, while it is unpacked.
pub(crate) struct Unzip {
    decoder: GzDecoder<Vec<u8>>,
    taken: u64,
    given: u64,
}

impl Unzip {
    pub(crate) fn new() -> Self {
        Self {
            decoder: GzDecoder::new(Vec::new()),
            taken: 0,
            given: 0,
        }
    }

    /// What some more octets become, in pieces.
    pub(crate) fn pieces(
        &mut self,
        packed: &[u8],
    ) -> impl Iterator<Item = Result<Vec<u8>, Problem>> {
        packed.chunks(AT_ONCE).map(move |packed| {
            self.taken += packed.len() as u64;
            self.decoder.write_all(packed).map_err(|_| unreadable())?;
            self.unpacked()
        })
    }

    /// What is left at the end, which must be one.
    pub(crate) fn finish(&mut self) -> Result<Vec<u8>, Problem> {
        self.decoder.try_finish().map_err(|_| unreadable())?;
        self.unpacked()
    }

    fn unpacked(&mut self) -> Result<Vec<u8>, Problem> {
        let unpacked = std::mem::take(self.decoder.get_mut());
        self.given += unpacked.len() as u64;
        if self.given > FREE + self.taken * MOST_TIMES {
            let message = format!("the body is compressed more than {MOST_TIMES} times");
            return Err(Problem::new(
                Code::ResourceExhausted,
                reason::MESSAGE_TOO_LARGE,
                message,
            ));
        }
        Ok(unpacked)
    }
}

fn unreadable() -> Problem {
    let message = "the body is not what its Content-Encoding says";
    Problem::new(Code::InvalidArgument, reason::MESSAGE_MALFORMED, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::gzip;

    fn unzip(packed: &[u8]) -> Result<Vec<u8>, Problem> {
        let mut unzip = Unzip::new();
        let pieces: Result<Vec<_>, _> = unzip.pieces(packed).collect();
        let mut whole = pieces?.concat();
        whole.extend(unzip.finish()?);
        Ok(whole)
    }

    #[test]
    fn what_was_packed_is_unpacked_and_anything_else_refused() {
        let text: String = (0..100_000).map(|number| format!("{number},")).collect();
        let packed = gzip(text.as_bytes());
        assert_eq!(unzip(&packed).unwrap(), text.as_bytes());
        let cut = &packed[..packed.len() - 1];
        let mut broken = packed.to_vec();
        broken[packed.len() / 2] ^= 1;
        let twice = [&packed[..], b"x"].concat();
        let all: [&[u8]; 5] = [cut, &broken, &twice, b"a,b\n", b""];
        for bad in all {
            let refused = unzip(bad).unwrap_err();
            assert_eq!(refused.reason, "MESSAGE_MALFORMED", "{} octets", bad.len());
        }
    }

    #[test]
    fn a_bomb_goes_off_before_it_is_large() {
        let bomb = gzip(&vec![b'\n'; 64 << 20]);
        let mut unzip = Unzip::new();
        let mut given = 0;
        let end = unzip.pieces(&bomb).find_map(|piece| match piece {
            Ok(piece) => {
                given += piece.len();
                None
            }
            Err(problem) => Some(problem.reason),
        });
        assert_eq!(end.unwrap(), "MESSAGE_TOO_LARGE");
        assert!(given < 4 << 20, "{given}");
    }
}
