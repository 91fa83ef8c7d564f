//! The checkpoints outside the database: a file with a line for each. Whoever cuts the end off the log in the database
//! would have to cut this file too.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use millgate_platform::StartError;

use crate::domain::audit::{Checkpoint, Head, Mac};

/// The setting that names the file.
pub(crate) const SETTING: &str = "AUTH_AUDIT_CHECKPOINTS";
/// More than any line has: two codes in base64url and two numbers.
pub(super) const LONGEST_LINE: u64 = 256;

/// The file, open to be appended to.
#[derive(Debug)]
pub(crate) struct CheckpointFile {
    file: Mutex<File>,
}

impl CheckpointFile {
    /// Opens the file, or makes it (mode 0600).
    ///
    /// # Errors
    /// When neither can be done.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| StartError::new(SETTING, format!("{}: {error}", path.display())))?;
        Ok(Self {
            file: Mutex::new(file),
        })
    }

    /// Appends a checkpoint if it is newer than the last line.
    pub(crate) fn keep(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        // Replicas of one machine may share the file: its lines must not get out of order.
        self.lock().lock()?;
        let kept = self.last().and_then(|last| match last {
            Some(last) if last >= checkpoint.head.seq => Ok(()),
            _ => self.append(checkpoint),
        });
        self.lock().unlock()?;
        kept
    }

    /// The number of the last row that a good last line vouches for.
    fn last(&self) -> io::Result<Option<i64>> {
        let mut file = self.lock();
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2 * LONGEST_LINE)))?;
        let mut tail = Vec::new();
        (&*file).take(2 * LONGEST_LINE).read_to_end(&mut tail)?;
        let tail = String::from_utf8_lossy(&tail);
        Ok(tail.lines().rev().find_map(parse).map(|last| last.head.seq))
    }

    /// Appends a checkpoint, and waits until the disk has it.
    fn append(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let mut file = self.lock();
        let length = file.metadata()?.len();
        let mut line = String::new();
        if length > 0 {
            let mut last = [0];
            file.seek(SeekFrom::Start(length - 1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                // A crash in the middle of a line; what it lacks must not spoil the next.
                line.push('\n');
            }
        }
        line.push_str(&text(checkpoint));
        file.write_all(line.as_bytes())?;
        file.sync_all()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        self.file
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn text(checkpoint: &Checkpoint) -> String {
    let Checkpoint {
        head: Head { seq, mac },
        time,
        signature,
    } = checkpoint;
    let (mac, signature) = (
        URL_SAFE_NO_PAD.encode(mac),
        URL_SAFE_NO_PAD.encode(signature),
    );
    format!("{seq} {time} {mac} {signature}\n")
}

pub(super) fn parse(line: &str) -> Option<Checkpoint> {
    let mac = |text: &str| -> Option<Mac> { URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok() };
    let words: Vec<&str> = line.split(' ').collect();
    let [seq, time, code, signature] = words[..] else {
        return None;
    };
    Some(Checkpoint {
        head: Head {
            seq: seq.parse().ok()?,
            mac: mac(code)?,
        },
        time: time.parse().ok()?,
        signature: mac(signature)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audit::tests::chain;

    fn at(seq: i64) -> Checkpoint {
        chain().checkpoint(Head { seq, mac: [9; 32] }, 12)
    }

    #[test]
    fn what_is_appended_reads_back_and_nobody_else_can_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoints");
        let file = CheckpointFile::open(&path).expect("made");
        assert_eq!(file.last().expect("read"), None);
        file.append(&at(3)).expect("appended");
        file.append(&at(i64::MAX)).expect("appended");
        assert_eq!(file.last().expect("read"), Some(i64::MAX));
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn half_a_line_spoils_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("checkpoints");
        let file = CheckpointFile::open(&path).expect("made");
        file.append(&at(3)).expect("appended");
        file.lock().write_all(b"4 12 abc").expect("a crash");
        assert_eq!(file.last().expect("read"), Some(3));
        file.append(&at(5)).expect("appended");
        assert_eq!(file.last().expect("read"), Some(5));
    }
}
