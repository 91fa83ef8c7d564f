//! A throwaway PostgreSQL from the installed binaries, gone when the test process is.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Starts a server on a socket in a folder of its own; gives its URL.
pub(super) fn start() -> Option<String> {
    let binaries = find_binaries()?;
    let user = unprivileged_user()?;
    let folder = tempfile::Builder::new()
        .prefix("millgate-pg-")
        .tempdir()
        .ok()?
        .keep();
    let data = folder.join("data");
    if let Some((uid, gid)) = user {
        chown(&folder, Some(uid), Some(gid)).ok()?;
    }
    let made = as_user(Command::new(binaries.join("initdb")), user)
        .args([
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--no-locale",
        ])
        .arg("-D")
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if !made.is_ok_and(|status| status.success()) {
        let _ = fs::remove_dir_all(&folder);
        return None;
    }
    // The shell outlives us by a moment: when our end of its standard input closes, however
    // this process ends, it stops the server and removes the folder.
    let script = r#""$0" -D "$1/data" -k "$1" -c listen_addresses= -c fsync=off -c max_connections=300 \
        >"$1/log" 2>&1 </dev/null & server=$!; cat >/dev/null; kill -INT $server; wait $server; rm -rf "$1""#;
    let mut child = as_user(Command::new("sh"), user)
        .args(["-c", script])
        .arg(binaries.join("postgres"))
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .ok()?;
    // Kept open until the process ends.
    std::mem::forget(child.stdin.take());
    Some(format!(
        "postgres://postgres@localhost/postgres?host={}",
        folder.display()
    ))
}

fn find_binaries() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| {
            entries
                .flatten()
                .map(|entry| entry.path().join("bin"))
                .collect()
        })
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
}

/// PostgreSQL refuses to run as root: then another user is taken. `Some(None)` means that
/// nothing has to be changed.
fn unprivileged_user() -> Option<Option<(u32, u32)>> {
    use std::os::unix::fs::MetadataExt as _;
    if fs::metadata("/proc/self").ok()?.uid() != 0 {
        return Some(None);
    }
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let find = |name: &str| {
        let line = users
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    Some(Some(find("postgres").or_else(|| find("nobody"))?))
}

fn as_user(mut command: Command, user: Option<(u32, u32)>) -> Command {
    command.current_dir(Path::new("/"));
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::{Connection as _, PgConnection};

    #[tokio::test]
    async fn a_throwaway_server_answers_where_the_binaries_are_installed() {
        let Some(url) = tokio::task::spawn_blocking(super::start)
            .await
            .expect("joined")
        else {
            eprintln!("no PostgreSQL is installed here");
            return;
        };
        for _ in 0..100 {
            if PgConnection::connect(&url).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{url} never answered");
    }
}
