//! A running service, and the login of who gives the command.

use std::time::Duration;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_platform::ClientTlsArgs;
use millgate_platform::channel::stream_channel;
use secrecy::{ExposeSecret as _, SecretString};
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

/// Puts the token on every call.
#[derive(Clone)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Bearer {
    fn new(token: &SecretString) -> Result<Self, Failure> {
        let mut entry: MetadataValue<Ascii> = format!("Bearer {}", token.expose_secret())
            .parse()
            .map_err(|_| {
            Failure::Usage("the token has letters that no token has".to_owned())
        })?;
        entry.set_sensitive(true);
        Ok(Self(entry))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// A channel on which every call is the caller's.
pub(crate) type Line = InterceptedService<Channel, Bearer>;

/// A session with the service, ended with [`Session::end`].
pub(crate) struct Session {
    channel: Channel,
    bearer: Bearer,
    /// Of a session that this command began.
    refresh: Option<SecretString>,
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
                bearer: Bearer::new(&token)?,
                channel,
                refresh: None,
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
            bearer: Bearer::new(&token)?,
            channel,
            refresh: Some(tokens.refresh_token.into()),
        })
    }

    /// For the clients of the services.
    pub(crate) fn line(&self) -> Line {
        InterceptedService::new(self.channel.clone(), self.bearer.clone())
    }

    /// Ends the session that this command began. One that cannot be ended ends by itself, and is no failure of the
    /// command.
    pub(crate) async fn end(self) {
        if let Some(refresh) = self.refresh {
            let request = pb::LogoutRequest {
                refresh_token: refresh.expose_secret().to_owned(),
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
    let line = InterceptedService::new(channel, session.bearer.clone());
    let done = work(line).await;
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
