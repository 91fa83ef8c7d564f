//! The real binary, as an operator runs it.

use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::access_token_service_client::AccessTokenServiceClient;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_contract::auth::v1::second_factor_service_client::SecondFactorServiceClient;
use millgate_contract::auth::v1::service_account_service_client::ServiceAccountServiceClient;
use millgate_platform::{Clock, SystemClock};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;
use tonic::transport::Channel;

pub(super) struct Running {
    pub(super) process: Child,
    log: BufReader<ChildStderr>,
    pub(super) endpoint: String,
}

/// The binary on a free port.
fn command(place: &Place) -> Command {
    let path = |name: &str| place.folder.path().join(name);
    std::fs::write(path("password"), PASSWORD).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_auth-service"));
    command
        .env_clear()
        .env("AUTH_DATABASE_URL", &place.url)
        .env("AUTH_LISTEN", "127.0.0.1:0")
        .env("AUTH_SECRETS", path("auth.secrets"))
        .env("MILLGATE_KEYS", path("keys.json"))
        .env("AUTH_ADMIN_PASSWORD_FILE", path("password"))
        .env("AUTH_FACTORY_CLIENT_SECRET", FACTORY_SECRET)
        .env("MILLGATE_LOG_FORMAT", "json")
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Sends SIGTERM.
fn terminate(process: &Child) {
    let sent = Command::new("kill")
        .args(["-TERM", &process.id().to_string()])
        .status();
    assert!(sent.expect("sent").success());
}

/// Starts the binary on a free port and waits for the log line that says which.
pub(super) fn start(place: &Place) -> Running {
    let mut process = command(place).spawn().expect("it starts");
    let mut log = BufReader::new(process.stderr.take().expect("a log"));
    let mut line = String::new();
    while !line.contains("\"message\":\"serving\"") {
        line.clear();
        assert_ne!(
            log.read_line(&mut line).expect("a log"),
            0,
            "the binary ended"
        );
    }
    let (_, rest) = line.split_once("\"address\":\"").expect("an address");
    let (address, _) = rest.split_once('"').expect("an address");
    Running {
        endpoint: format!("http://{address}"),
        process,
        log,
    }
}

/// The binary on this place's SQLite file, while somebody else migrates it.
#[test]
fn a_start_that_waits_for_the_migrations_of_another_ends_when_told_to() {
    let (url, folder) = millgate_platform::testing::sqlite_url();
    let place = Place::at(&url);
    let file = url.trim_start_matches("sqlite:");
    let lock = std::fs::File::create(format!("{file}.lock")).expect("a lock file");
    lock.lock().expect("held");
    std::fs::set_permissions(
        format!("{file}.lock"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .expect("private");
    let mut process = command(&place).spawn().expect("it starts");
    std::thread::sleep(Duration::from_secs(1));
    assert!(
        process.try_wait().expect("asked").is_none(),
        "it waits for the lock"
    );
    terminate(&process);
    let told = std::time::Instant::now();
    let ended = loop {
        match process.try_wait().expect("asked") {
            Some(status) => break Some(status),
            None if told.elapsed() > Duration::from_secs(5) => break None,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let _ = process.kill();
    assert_eq!(ended.and_then(|status| status.code()), Some(0));
    drop(folder);
}

impl Drop for Running {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        let _ = self.process.kill();
    }
}

impl Running {
    /// Ends it as a power cut would (SIGKILL).
    pub(crate) fn kill(mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("ended");
    }

    /// Asks it to stop; gives what it logged since it served.
    fn stop(mut self) -> String {
        terminate(&self.process);
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).expect("a log");
        assert_eq!(
            self.process.wait().expect("ended").code(),
            Some(0),
            "{rest}"
        );
        rest
    }
}

pub(crate) async fn connect(endpoint: &str) -> Channel {
    let endpoint = Channel::from_shared(endpoint.to_owned()).expect("an address");
    endpoint.connect().await.expect("it answers")
}

fn healthcheck(endpoint: &str) -> bool {
    let mut ask = Command::new(env!("CARGO_BIN_EXE_auth-service"));
    ask.args(["healthcheck", "--endpoint", endpoint])
        .status()
        .expect("it runs")
        .success()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_says_that_it_is_well_and_stops_when_told() {
    at_both(async |place| {
        let running = start(&place);
        let endpoint = running.endpoint.clone();
        // Not well until the first probe of the database has answered, as an orchestrator sees it.
        let mut patience = 50;
        while !healthcheck(&endpoint) {
            patience -= 1;
            assert!(patience > 0, "never well");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        running.stop();
        assert!(!healthcheck(&endpoint));
    })
    .await;
}

/// Every secret that a machine is given, each used well and badly.
async fn secrets_of_machines(endpoint: &str) -> Vec<String> {
    let channel = connect(endpoint).await;
    let mut auth = AuthServiceClient::new(channel.clone());
    let admin = auth.login(login(ADMIN, PASSWORD)).await.expect("logged in");
    let admin = admin.into_inner().access_token;
    let mut accounts = ServiceAccountServiceClient::new(channel.clone());
    let shop = super::machines::wanted("shop", &["tokens.exchange", "profile"]);
    let shop = accounts.create_service_account(with(&admin, shop)).await;
    let shop = shop.expect("made").into_inner().client_secret;
    let issue = |secret: &str| pb::IssueServiceTokenRequest {
        client_id: "shop".into(),
        client_secret: secret.to_owned(),
        scope: String::new(),
    };
    let service = auth
        .issue_service_token(issue(&shop))
        .await
        .expect("issued");
    let service = service.into_inner().access_token;
    let rotation = pb::RotateSecretRequest {
        client_id: "shop".into(),
        ..Default::default()
    };
    let rotated = accounts.rotate_secret(with(&admin, rotation)).await;
    let rotated = rotated.expect("rotated").into_inner().client_secret;
    let broken = format!("{}x", &rotated[..52]);
    let _ = auth.issue_service_token(issue(&broken)).await;

    let mut tokens = AccessTokenServiceClient::new(channel);
    let request = pb::CreateAccessTokenRequest {
        access_token: Some(pb::AccessToken {
            name: "a script".into(),
            scopes: vec!["profile".into()],
            expire_time: Some(prost_types::Timestamp {
                seconds: millgate_platform::Clock::now_seconds(&millgate_platform::SystemClock)
                    + 3600,
                nanos: 0,
            }),
            ..Default::default()
        }),
        request_id: String::new(),
    };
    let personal = tokens.create_access_token(with(&admin, request)).await;
    let personal = personal.expect("made").into_inner().token;
    let trade = |token: &str| pb::ExchangeAccessTokenRequest {
        token: token.to_owned(),
        scope: String::new(),
    };
    let cut = tokens
        .exchange_access_token(trade(&personal))
        .await
        .expect("exchanged");
    let cut = cut.into_inner().access_token;
    let _ = tokens.exchange_access_token(trade(&cut)).await;
    // Sent where it must not be.
    let _ = auth.who_am_i(with(&personal, pb::WhoAmIRequest {})).await;
    let subject = |token: &str| pb::ExchangeTokenRequest {
        subject_token: token.to_owned(),
        ..Default::default()
    };
    let acting = auth.exchange_token(with(&service, subject(&admin))).await;
    let acting = acting.expect("exchanged").into_inner().access_token;
    let _ = auth
        .exchange_token(with(&service, subject(&personal)))
        .await;
    for token in [&personal, &cut, &acting, &service] {
        let request = pb::RevokeTokenRequest {
            token: token.clone(),
            ..Default::default()
        };
        auth.revoke_token(request).await.expect("always OK");
    }
    vec![admin, shop, service, rotated, broken, personal, cut, acting]
}

/// Turns a second factor on and logs in with it; gives every secret on the way.
async fn second_factor(auth: &mut AuthServiceClient<Channel>, endpoint: &str) -> Vec<String> {
    let mut factors = SecondFactorServiceClient::new(connect(endpoint).await);
    auth.register(registration("ada", PASSWORD))
        .await
        .expect("registered");
    let token = auth
        .login(login("ada", PASSWORD))
        .await
        .expect("logged in")
        .into_inner()
        .access_token;
    let begun = factors
        .begin_totp(with(&token, pb::BeginTotpRequest {}))
        .await
        .expect("begun")
        .into_inner();
    let app = totp_rs::Totp::from_url(&begun.otpauth_uri).expect("an app reads it");
    let now = u64::try_from(SystemClock.now_seconds()).expect("after the epoch");
    let request = pb::ConfirmTotpRequest {
        code: app.generate(now).to_string(),
        ..Default::default()
    };
    let on = factors
        .confirm_totp(with(&token, request))
        .await
        .expect("on")
        .into_inner();
    let half = auth
        .login(login("ada", PASSWORD))
        .await
        .expect("half")
        .into_inner();
    let request = |code: &str| pb::CompleteLoginRequest {
        mfa_token: half.mfa_token.clone(),
        code: code.to_owned(),
    };
    let wrong = auth.complete_login(request("0123-4567-89AB-CDEF")).await;
    assert_eq!(reason(wrong), "CREDENTIALS_INVALID");
    let done = auth
        .complete_login(request(&on.recovery_codes[0]))
        .await
        .expect("logged in")
        .into_inner();
    let mut secrets = on.recovery_codes;
    secrets.extend([
        begun.secret,
        begun.otpauth_uri,
        half.mfa_token,
        done.access_token,
    ]);
    secrets.push("0123-4567-89AB-CDEF".to_owned());
    secrets
}

#[tokio::test(flavor = "multi_thread")]
async fn its_log_tells_who_did_what_and_never_a_secret() {
    at_both(async |place| {
        let running = start(&place);
        let mut auth = AuthServiceClient::new(connect(&running.endpoint).await);
        let mut secrets = vec![
            PASSWORD.to_owned(),
            FACTORY_SECRET.to_owned(),
            "typed a wrong one".to_owned(),
        ];
        let wrong = auth.login(login(ADMIN, "typed a wrong one")).await;
        assert_eq!(reason(wrong), "CREDENTIALS_INVALID");
        // People type their password into the field of the name.
        let slip = auth.login(login("my-secret-passphrase", PASSWORD)).await;
        assert_eq!(reason(slip), "CREDENTIALS_INVALID");
        secrets.push("my-secret-passphrase".to_owned());
        let tokens = auth
            .login(login(ADMIN, PASSWORD))
            .await
            .expect("logged in")
            .into_inner();
        let refresh = |token: &str| pb::RefreshRequest {
            refresh_token: token.to_owned(),
        };
        let next = auth
            .refresh(refresh(&tokens.refresh_token))
            .await
            .expect("refreshed")
            .into_inner();
        let last = auth
            .refresh(refresh(&next.refresh_token))
            .await
            .expect("refreshed")
            .into_inner();
        assert_eq!(
            reason(auth.refresh(refresh(&tokens.refresh_token)).await),
            "REFRESH_REUSED"
        );
        for response in [tokens, next, last] {
            secrets.extend([response.access_token, response.refresh_token]);
        }
        let request = pb::IssueServiceTokenRequest {
            client_id: FACTORY.into(),
            client_secret: FACTORY_SECRET.into(),
            scope: String::new(),
        };
        secrets.push(
            auth.issue_service_token(request)
                .await
                .expect("issued")
                .into_inner()
                .access_token,
        );
        secrets.extend(secrets_of_machines(&running.endpoint).await);
        secrets.extend(second_factor(&mut auth, &running.endpoint).await);
        drop(auth);
        let log = running.stop();
        for secret in secrets {
            assert!(!log.contains(&secret), "{secret} stands in the log");
        }
        let told = |event: &str, outcome: &str, cause: &str| {
            log.lines().any(|line| {
                line.contains("\"target\":\"millgate.audit\"")
                    && line.contains(&format!("\"event\":\"{event}\""))
                    && line.contains(&format!("\"outcome\":\"{outcome}\""))
                    && line.contains(cause)
                    && line.contains("127.0.0.1")
                    && line.contains("request_id")
            })
        };
        assert!(told("login", "refused", "wrong_password"), "{log}");
        assert!(told("login", "refused", "unknown_name"), "{log}");
        assert!(told("login", "done", "\"subject\":1"), "{log}");
        assert!(told("refresh", "refused", "reused"), "{log}");
        assert!(told("service_token", "done", FACTORY), "{log}");
    })
    .await;
}
