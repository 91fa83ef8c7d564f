//! The docs page in a real, headless browser: log in there, try a call, see its answer.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use std::path::Path;
use std::process::Command;
use support::{ADMIN_PASSWORD, Backend, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_login_on_the_page_lets_the_calls_after_it_through() {
    let runs = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !runs("python3", &["-c", "import selenium"])
        || !runs("chromedriver", &["--version"])
        || !runs("chromium", &["--version"])
    {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI needs chromium, chromedriver and python3 with selenium"
        );
        eprintln!(
            "\n!!!! SKIPPED the docs page: chromium, chromedriver or selenium is not there !!!!\n"
        );
        return;
    }
    let world = World::start(Backend::Sqlite).await.unwrap();
    // Kept beside what is built, so that one can look at it.
    let screenshot = Path::new(env!("CARGO_TARGET_TMPDIR")).join("docs_page.png");
    let output = Command::new("python3")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docs_page.py"))
        .arg(format!("http://{}", world.addresses.gateway))
        .arg(&screenshot)
        .env("PASSWORD", ADMIN_PASSWORD)
        .env("NO_PROXY", "*")
        .env("no_proxy", "*")
        .output()
        .expect("python3 runs");
    let shown = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}{errors}");
    let expected = "without a token: 401 TOKEN_MISSING\n\
        login: 200\n\
        with the token of the login: 200 True\n\
        faults of the page: []\n";
    assert_eq!(shown, expected, "{errors}");
    let size = std::fs::metadata(&screenshot).unwrap().len();
    assert!(
        size > 50_000,
        "a picture of {size} bytes is of an empty page"
    );
}
