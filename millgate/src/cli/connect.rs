//! A running service, and the login of who gives the command.

use std::convert::Infallible;
use std::time::Duration;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_platform::ClientTlsArgs;
use millgate_platform::channel::stream_channel;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::watch;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

use super::{Failure, prompt};

/// How a running service is reached, and who gives the command.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "The service")]
pub(crate) struct Remote {
    /// The auth service.
    #[arg(
        long,
        env = "MILLGATE_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:50051"
    )]
    server: String,

    /// Who gives the command: a user name or an email address. The password comes from MILLGATE_PASSWORD, from standard
    /// input or from the terminal, and so does the code where there is a second factor; with an access token in
    /// MILLGATE_TOKEN none is needed.
    #[arg(
        long,
        env = "MILLGATE_USERNAME",
        value_name = "NAME",
        default_value = "admin"
    )]
    username: String,

    /// Reads the password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,

    #[command(flatten)]
    tls: ClientTlsArgs,
}

/// How long one call may take, where it is no stream.
pub(crate) const CALL: Duration = Duration::from_secs(30);
/// Under this name the session stands in the list of the person's sessions.
const DEVICE: &str = "millgate command";

/// Puts the token on every call: the newest one, where the session gets others on its way.
#[derive(Clone)]
pub(crate) struct Bearer(watch::Receiver<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let entry = self.0.borrow().clone();
        request.metadata_mut().insert("authorization", entry);
        Ok(request)
    }
}

/// The entry of a token.
fn entry_of(token: &SecretString) -> Result<MetadataValue<Ascii>, Failure> {
    let mut entry: MetadataValue<Ascii> = format!("Bearer {}", token.expose_secret())
        .parse()
        .map_err(|_| Failure::Usage("the token has letters that no token has".to_owned()))?;
    entry.set_sensitive(true);
    Ok(entry)
}

/// A channel on which every call is the caller's.
pub(crate) type Line = InterceptedService<Channel, Bearer>;

/// A session with the service, ended with [`Session::end`].
pub(crate) struct Session {
    channel: Channel,
    bearer: watch::Sender<MetadataValue<Ascii>>,
    /// Of a session that this command began.
    own: Option<Own>,
}

/// What a session that this command began lives on.
struct Own {
    /// Works once.
    refresh: SecretString,
    /// How long the access token is good for.
    life: Duration,
}

impl Own {
    fn new(refresh: String, expires_in: i32) -> Self {
        Self {
            refresh: refresh.into(),
            life: Duration::from_secs(expires_in.unsigned_abs().max(1).into()),
        }
    }
}

impl Session {
    /// Logs in, unless there is a token.
    ///
    /// # Errors
    /// The server's refusal; a setting that is wrong.
    pub(crate) async fn begin(remote: &Remote) -> Result<Self, Failure> {
        let channel = stream_channel(
            "--server (MILLGATE_SERVER)",
            &remote.server,
            remote.tls.client()?.as_ref(),
        )
        .map_err(|error| Failure::Usage(error.to_string()))?;
        if let Some(token) = from_environment("MILLGATE_TOKEN")? {
            return Ok(Self {
                bearer: watch::Sender::new(entry_of(&token)?),
                channel,
                own: None,
            });
        }
        let password = password(remote)?;
        let request = login(&remote.username, &password);
        let mut auth = AuthServiceClient::new(channel.clone());
        let mut tokens = auth.login(timed(request)).await?.into_inner();
        if tokens.mfa_required {
            let code = prompt::code("code of the second factor")?;
            let request = pb::CompleteLoginRequest {
                mfa_token: tokens.mfa_token,
                code: code.expose_secret().to_owned(),
            };
            tokens = auth.complete_login(timed(request)).await?.into_inner();
        }
        let token = SecretString::from(tokens.access_token);
        Ok(Self {
            bearer: watch::Sender::new(entry_of(&token)?),
            channel,
            own: Some(Own::new(tokens.refresh_token, tokens.expires_in)),
        })
    }

    /// The token of the session, on every call.
    fn bearer(&self) -> Bearer {
        Bearer(self.bearer.subscribe())
    }

    /// Keeps the session's token good until this is dropped. A token from the environment is not ours to renew.
    ///
    /// # Errors
    /// When the service does not renew it.
    async fn stay(&mut self) -> Result<Infallible, Failure> {
        let Some(own) = &mut self.own else {
            return std::future::pending().await;
        };
        let mut auth = AuthServiceClient::new(self.channel.clone());
        loop {
            // Half of its life: a call that begins with the old token ends before it does.
            tokio::time::sleep(own.life / 2).await;
            let request = pb::RefreshRequest {
                refresh_token: own.refresh.expose_secret().to_owned(),
            };
            let tokens = auth.refresh(timed(request)).await?.into_inner();
            let entry = entry_of(&SecretString::from(tokens.access_token))?;
            *own = Own::new(tokens.refresh_token, tokens.expires_in);
            self.bearer.send_replace(entry);
        }
    }

    /// For the clients of the services.
    pub(crate) fn line(&self) -> Line {
        InterceptedService::new(self.channel.clone(), self.bearer())
    }

    /// Ends the session that this command began. One that cannot be ended ends by itself, and is no failure of the
    /// command.
    pub(crate) async fn end(self) {
        if let Some(own) = self.own {
            let request = pb::LogoutRequest {
                refresh_token: own.refresh.expose_secret().to_owned(),
            };
            let _ = AuthServiceClient::new(self.channel)
                .logout(timed(request))
                .await;
        }
    }
}

/// Runs a command in a session of its own.
pub(crate) async fn session<T>(
    remote: &Remote,
    work: impl AsyncFnOnce(Line) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let session = Session::begin(remote).await?;
    let done = work(session.line()).await;
    session.end().await;
    done
}

/// As [`session`], with another service: its setting, and where it is. The login is at the auth service all the same.
pub(crate) async fn session_at<T>(
    remote: &Remote,
    (setting, endpoint): (&'static str, &str),
    work: impl AsyncFnOnce(Line) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let tls = remote.tls.client()?;
    let channel = stream_channel(setting, endpoint, tls.as_ref())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let session = Session::begin(remote).await?;
    let line = InterceptedService::new(channel, session.bearer());
    let done = work(line).await;
    session.end().await;
    done
}

/// The lines to both services.
pub(crate) struct Lines {
    /// To the auth service.
    pub(crate) auth: Line,
    /// To the factory service.
    pub(crate) factory: Line,
}

/// As [`session_at`], for work that may outlast an access token.
pub(crate) async fn long_session_at<T>(
    remote: &Remote,
    (setting, endpoint): (&'static str, &str),
    work: impl AsyncFnOnce(Lines) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let tls = remote.tls.client()?;
    let channel = stream_channel(setting, endpoint, tls.as_ref())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let mut session = Session::begin(remote).await?;
    let lines = Lines {
        auth: session.line(),
        factory: InterceptedService::new(channel, session.bearer()),
    };
    let done = tokio::select! {
        done = work(lines) => done,
        Err(failure) = session.stay() => Err(failure),
    };
    session.end().await;
    done
}

/// Ends the session of a refresh token that the command got on its way. As [`Session::end`], it fails silently.
pub(crate) async fn log_out(line: Line, refresh_token: String) {
    let request = pb::LogoutRequest { refresh_token };
    let _ = AuthServiceClient::new(line).logout(timed(request)).await;
}

/// A call that does not hang.
pub(crate) fn timed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(CALL);
    request
}

fn login(name: &str, password: &SecretString) -> pb::LoginRequest {
    let (username, email) = by_name(name);
    pb::LoginRequest {
        username,
        email,
        password: password.expose_secret().to_owned(),
        device_label: DEVICE.to_owned(),
        ..Default::default()
    }
}

/// A user name, or an email address: the one that it is, the other empty.
pub(crate) fn by_name(name: &str) -> (String, String) {
    if name.contains('@') {
        (String::new(), name.to_owned())
    } else {
        (name.to_owned(), String::new())
    }
}

fn password(remote: &Remote) -> Result<SecretString, Failure> {
    if remote.password_stdin {
        return prompt::line_of_stdin();
    }
    if let Some(password) = from_environment("MILLGATE_PASSWORD")? {
        return Ok(password);
    }
    prompt::ask(
        &format!("password of {}", remote.username),
        "set MILLGATE_PASSWORD or MILLGATE_TOKEN, or use --password-stdin",
    )
}

fn from_environment(name: &str) -> Result<Option<SecretString>, Failure> {
    match std::env::var(name) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text.into())),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(_) => Err(Failure::Usage(format!("{name} is not UTF-8"))),
    }
}
