//! The real binary: its help, its health check, and its end.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use millgate_guard::{KeyRing, SystemClock, SystemEntropy};

struct Service {
    child: Child,
    listen: String,
    _folder: tempfile::TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_factory-service"))
}

fn start() -> Service {
    start_in(tempfile::tempdir().expect("a folder"))
}

fn start_in(folder: tempfile::TempDir) -> Service {
    let keys = folder.path().join("keys.json");
    KeyRing::create_file(&keys, &SystemEntropy, &SystemClock).expect("a ring");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = free.local_addr().expect("an address").to_string();
    drop(free);
    let child = binary()
        .current_dir(folder.path())
        .args(["--listen", &listen, "--keys"])
        .arg(&keys)
        .env("FACTORY_CLIENT_SECRET", "secret")
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    Service {
        child,
        listen,
        _folder: folder,
    }
}

fn healthcheck(listen: &str) -> Output {
    binary()
        .args(["healthcheck", "--listen", listen])
        .output()
        .expect("ran")
}

#[test]
fn a_start_that_waits_for_the_migrations_of_another_ends_when_told_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("factory.db.lock");
    let lock = std::fs::File::create(&path).expect("a lock file");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, private).expect("private");
    lock.lock().expect("held");
    let mut service = start_in(folder);
    std::thread::sleep(Duration::from_secs(1));
    let waiting = service.child.try_wait().expect("asked").is_none();
    assert!(waiting, "it waits for the lock");
    let told = Command::new("kill")
        .arg("-TERM")
        .arg(service.child.id().to_string())
        .status();
    assert!(told.expect("ran").success());
    let begun = Instant::now();
    let ended = loop {
        match service.child.try_wait().expect("asked") {
            Some(status) => break status.code(),
            None => assert!(
                begun.elapsed() < Duration::from_secs(5),
                "it goes on waiting"
            ),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(ended, Some(0));
}

#[test]
fn it_becomes_healthy_and_ends_in_order_when_told_to() {
    let mut service = start();
    let begun = Instant::now();
    while !healthcheck(&service.listen).status.success() {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "never became healthy"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let pid = service.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("sent")
            .success()
    );
    let ended = service.child.wait().expect("ended");
    assert_eq!(ended.code(), Some(0));
    let asked = healthcheck(&service.listen);
    assert_eq!(asked.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&asked.stderr).contains(&service.listen));
}

#[test]
fn its_help_lists_every_setting_and_a_wrong_one_is_refused_by_name() {
    let help = binary().arg("--help").output().expect("ran");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for setting in [
        "FACTORY_LISTEN",
        "FACTORY_DATABASE_URL",
        "FACTORY_DATABASE_URL_FILE",
        "FACTORY_SECRETS",
        "AUTH_ENDPOINT",
        "FACTORY_CLIENT_ID",
        "FACTORY_CLIENT_SECRET",
        "FACTORY_CLIENT_SECRET_FILE",
        "MILLGATE_KEYS",
        "MILLGATE_LOG",
        "127.0.0.1:50052",
        "http://127.0.0.1:50051",
        "sqlite:factory.db",
        "healthcheck",
    ] {
        assert!(help.contains(setting), "{setting}");
    }
    for (name, value) in [("FACTORY_LISTEN", "nowhere"), ("MILLGATE_DEADLINE", "soon")] {
        let refused = binary().env(name, value).output().expect("ran");
        assert!(!refused.status.success());
        let flag = name.split_once('_').expect("a prefix").1.to_lowercase();
        assert!(
            String::from_utf8_lossy(&refused.stderr).contains(&format!("--{flag}")),
            "{name}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let refused = binary()
        .current_dir(folder.path())
        .args(["--listen", "127.0.0.1:0", "--client-secret", "secret"])
        .output()
        .expect("ran");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("MILLGATE_KEYS"));
    let left = std::fs::read_dir(folder.path()).expect("listed").count();
    assert_eq!(left, 0, "a refused start leaves nothing behind");
}
