//! Running the built binaries and ending them.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a binary may take until it is ready, on a busy machine.
const START: Duration = Duration::from_secs(60);

/// The command of one of our binaries, with an environment that configures nothing.
pub fn binary(name: &str) -> Command {
    // The binaries of other packages stand beside ours: `cargo test --workspace` builds them all.
    let path = PathBuf::from(env!("CARGO_BIN_EXE_millgate")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo test --workspace`, or `cargo build` first",
        path.display()
    );
    let mut command = Command::new(path);
    for (key, _) in std::env::vars() {
        if ["MILLGATE_", "AUTH_", "FACTORY_", "GATEWAY_"]
            .iter()
            .any(|prefix| key.starts_with(prefix))
        {
            command.env_remove(key);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// A process that is killed when this is dropped.
pub struct Running {
    child: Child,
    /// What it printed until it was ready.
    pub banner: String,
}

impl Running {
    /// Starts it and waits until it prints a line that begins with `word`.
    pub fn until_ready(mut command: Command, word: &'static str) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("piped");
        let mut stderr = child.stderr.take().expect("piped");
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            let _ = stderr.read_to_end(&mut log);
            String::from_utf8_lossy(&log).into_owned()
        });
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let mut banner = String::new();
        loop {
            match lines.recv_timeout(START) {
                Ok(line) => {
                    banner.push_str(&line);
                    banner.push('\n');
                    if line.starts_with(word) {
                        // Whatever it prints later is read and dropped, so that it never waits for a reader.
                        std::thread::spawn(move || for _ in lines {});
                        return Self { child, banner };
                    }
                }
                Err(_) => {
                    let _ = child.kill();
                    let status = child.wait();
                    panic!(
                        "not ready ({status:?}): {banner}\n{}",
                        log.join().unwrap_or_default()
                    );
                }
            }
        }
    }

    /// Starts it and waits until its log (as JSON on standard error) says where it serves.
    pub fn until_serving(mut command: Command) -> (Self, String) {
        command.env("MILLGATE_LOG_FORMAT", "json");
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut log = String::new();
        for line in lines.by_ref().map_while(Result::ok) {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if event["message"]
                .as_str()
                .is_some_and(|message| message.ends_with("serving") || message.ends_with("serves"))
            {
                let address = event["address"].as_str().expect("it says where").to_owned();
                std::thread::spawn(move || for _ in lines {});
                return (Self { child, banner: log }, address);
            }
            log.push_str(&line);
            log.push('\n');
        }
        let status = child.wait();
        panic!("it does not serve ({status:?}): {log}");
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        let status = Command::new("kill")
            .arg("-TERM")
            .arg(self.child.id().to_string())
            .status()
            .expect("kill runs");
        assert!(status.success(), "the process was already gone");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the process ends")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end: whether it succeeded, and all that it printed.
pub fn output(mut command: Command) -> (bool, String) {
    let output = command.output().expect("the binary starts");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}
