//! Reads the checkpoints outside the database from the file's beginning, a line at a time.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Take};
use std::path::Path;

use super::checkpoints::{LONGEST_LINE, parse};
use crate::domain::audit::Checkpoint;

/// The lines of a file as long as it was at the beginning.
pub(crate) struct Lines {
    reader: Option<BufReader<Take<File>>>,
    ahead: Option<Line>,
}

/// A line of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// A checkpoint, not yet verified.
    Checkpoint(Checkpoint),
    /// None that can be read.
    Damaged,
}

impl Lines {
    /// Begins; a file that is not there has no lines.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let reader = match File::open(path) {
            Ok(file) => {
                let length = file.metadata()?.len();
                Some(BufReader::new(file.take(length)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            reader,
            ahead: None,
        })
    }

    /// The next lines that vouch for rows up to `seq`, at most `limit`. A damaged line is passed over where another comes
    /// behind it, which vouches for more; it counts where it is the last.
    pub(crate) fn up_to(&mut self, seq: i64, limit: usize) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        while lines.len() < limit {
            let Some(line) = self.peek()? else {
                break;
            };
            match line {
                Line::Checkpoint(checkpoint) if checkpoint.head.seq > seq => break,
                Line::Checkpoint(_) => lines.push(line),
                Line::Damaged => {
                    self.ahead = None;
                    if self.peek()?.is_none() {
                        lines.push(Line::Damaged);
                    }
                    continue;
                }
            }
            self.ahead = None;
        }
        Ok(lines)
    }

    fn peek(&mut self) -> io::Result<Option<Line>> {
        if self.ahead.is_none() {
            self.ahead = self.read()?;
        }
        Ok(self.ahead)
    }

    fn read(&mut self) -> io::Result<Option<Line>> {
        let Some(reader) = &mut self.reader else {
            return Ok(None);
        };
        let mut line = Vec::new();
        // A line without an end must not fill the memory.
        if reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line);
        Ok(Some(
            parse(text.trim_end_matches('\n')).map_or(Line::Damaged, Line::Checkpoint),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::checkpoints::CheckpointFile;
    use crate::domain::audit::{Head, tests::chain};
    use std::io::Write as _;

    fn at(seq: i64) -> Checkpoint {
        chain().checkpoint(Head { seq, mac: [9; 32] }, 12)
    }

    fn all(path: &Path) -> Vec<Line> {
        let mut lines = Lines::of(path).expect("opened");
        lines.up_to(i64::MAX, 100).expect("read")
    }

    #[test]
    fn lines_come_as_far_as_they_are_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoints");
        let file = CheckpointFile::open(&path).expect("made");
        for seq in [3, 5, 8] {
            file.keep(&at(seq)).expect("kept");
        }
        let mut lines = Lines::of(&path).expect("opened");
        file.keep(&at(9)).expect("kept");
        assert_eq!(lines.up_to(2, 9).expect("read"), []);
        let got = lines.up_to(5, 1).expect("read");
        assert_eq!(got, [Line::Checkpoint(at(3))]);
        let got = lines.up_to(5, 9).expect("read");
        assert_eq!(got, [Line::Checkpoint(at(5))]);
        let got = lines.up_to(i64::MAX, 9).expect("read");
        assert_eq!(
            got,
            [Line::Checkpoint(at(8))],
            "what came later is not of this"
        );
    }

    #[test]
    fn half_a_line_counts_only_where_nothing_comes_behind_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoints");
        let file = CheckpointFile::open(&path).expect("made");
        file.keep(&at(3)).expect("kept");
        let half = || {
            let mut file = std::fs::OpenOptions::new()
                .append(true)
                .open(&path)
                .expect("opened");
            file.write_all(b"4 12 abc").expect("a crash");
        };
        half();
        assert_eq!(all(&path), [Line::Checkpoint(at(3)), Line::Damaged]);
        file.keep(&at(5)).expect("kept");
        assert_eq!(all(&path), [3, 5].map(|seq| Line::Checkpoint(at(seq))));
    }

    #[test]
    fn a_line_without_an_end_is_read_in_pieces_and_none_is_good() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoints");
        std::fs::write(&path, vec![b'7'; 100_000]).expect("written");
        assert_eq!(all(&path), [Line::Damaged]);
    }

    #[test]
    fn a_file_that_is_not_there_has_no_lines() {
        assert!(all(Path::new("/nowhere/at/all")).is_empty());
    }
}
