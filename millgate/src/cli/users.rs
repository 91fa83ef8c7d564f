//! `millgate users`.

use clap::ValueEnum;
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_contract::auth::v1::user_service_client::UserServiceClient;
use millgate_platform::{Entropy as _, SystemEntropy};
use secrecy::ExposeSecret as _;

use super::connect::{Line, Remote, by_name, session, timed};
use super::import::Import;
use super::local::Local;
use super::output::{List, Output, json, time, word};
use super::people::find;
use super::prompt::NewPassword;
use super::{Failure, import, local};
use crate::terminal::complain;

/// The commands on accounts.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Makes an account.
    Create(Box<Create>),
    /// Lists the accounts.
    List {
        /// Only this role.
        #[arg(long)]
        role: Option<Role>,
        /// Only those that are closed.
        #[arg(long)]
        disabled: bool,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
    /// Gives an account another role and ends its sessions.
    SetRole {
        /// Its id, user name or email address.
        user: String,
        /// What the person may do from now on.
        role: Role,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
    /// Closes an account and ends its sessions.
    Disable(One),
    /// Opens a closed account again.
    Enable(One),
    /// Forgets the failed attempts at an account: it can be logged in with at once.
    Unlock(One),
    /// Takes over the accounts of another system with the hashes of their passwords.
    Import(Box<Import>),
    /// Mails the person a link to set their password anew; with --local, gives an account of a stopped service another
    /// password: for whoever has locked themselves out.
    ResetPassword {
        /// Its id, user name or email address.
        user: String,
        /// With --local: generates the password and prints it once, instead of asking for it.
        #[arg(long, requires = "local")]
        generate: bool,
        #[command(flatten)]
        local: Local,
        #[command(flatten)]
        remote: Remote,
        #[command(flatten)]
        output: Output,
    },
}

/// One account and nothing else.
#[derive(clap::Args)]
pub(crate) struct One {
    /// Its id, user name or email address.
    user: String,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    output: Output,
}

/// An account to make.
#[derive(clap::Args)]
pub(crate) struct Create {
    /// What the person logs in with: a user name, or an email address.
    name: String,
    /// An email address beside a user name.
    #[arg(long)]
    email: Option<String>,
    /// What the person may do.
    #[arg(long)]
    role: Role,
    /// Generates the password and prints it once, instead of asking for it.
    #[arg(long)]
    generate: bool,
    #[command(flatten)]
    local: Local,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    output: Output,
}

/// A role, as tokens spell it.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Role {
    /// Everything.
    Admin,
    /// Staff.
    User,
    /// Works on service tickets.
    Mechanic,
    /// Only what is their own.
    Customer,
}

impl From<Role> for pb::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::User => Self::User,
            Role::Mechanic => Self::Mechanic,
            Role::Customer => Self::Customer,
        }
    }
}

/// Runs one.
pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(create) => make(*create).await,
        Command::List {
            role,
            disabled,
            remote,
            output,
        } => {
            let state = if disabled {
                pb::UserState::Disabled
            } else {
                pb::UserState::Unspecified
            };
            let request = pb::ListUsersRequest {
                page_size: 1000,
                role: role.map_or(pb::Role::Unspecified, pb::Role::from).into(),
                state: state.into(),
                ..Default::default()
            };
            session(&remote, async |line| list(line, request, output).await).await
        }
        Command::SetRole {
            user,
            role,
            remote,
            output,
        } => {
            session(&remote, async |line| {
                let request = pb::SetUserRoleRequest {
                    id: find(&line, &user).await?.id,
                    role: pb::Role::from(role).into(),
                    request_id: request_id(),
                    ..Default::default()
                };
                let changed = UserServiceClient::new(line)
                    .set_user_role(timed(request))
                    .await?;
                tell(output, "changed", &changed.into_inner())
            })
            .await
        }
        Command::Disable(One {
            user,
            remote,
            output,
        }) => {
            session(&remote, async |line| {
                let request = pb::DisableUserRequest {
                    id: find(&line, &user).await?.id,
                    request_id: request_id(),
                    ..Default::default()
                };
                let closed = UserServiceClient::new(line)
                    .disable_user(timed(request))
                    .await?;
                tell(output, "closed", &closed.into_inner())
            })
            .await
        }
        Command::Enable(One {
            user,
            remote,
            output,
        }) => {
            session(&remote, async |line| {
                let request = pb::EnableUserRequest {
                    id: find(&line, &user).await?.id,
                    request_id: request_id(),
                    ..Default::default()
                };
                let opened = UserServiceClient::new(line)
                    .enable_user(timed(request))
                    .await?;
                tell(output, "opened", &opened.into_inner())
            })
            .await
        }
        Command::Unlock(One {
            user,
            remote,
            output,
        }) => {
            session(&remote, async |line| {
                let request = pb::UnlockUserRequest {
                    id: find(&line, &user).await?.id,
                    request_id: request_id(),
                    ..Default::default()
                };
                let unlocked = UserServiceClient::new(line)
                    .unlock_user(timed(request))
                    .await?;
                tell(output, "unlocked", &unlocked.into_inner())
            })
            .await
        }
        Command::Import(import) => import::run(*import).await,
        Command::ResetPassword {
            user,
            generate,
            local,
            remote,
            output,
        } => {
            if local.is_meant() {
                return local::reset_password(&local, &user, generate, output).await;
            }
            session(&remote, async |line| {
                let user = find(&line, &user).await?;
                if user.email.is_empty() {
                    complain(
                        "the account has no email address: no mail can reach it (see --local)",
                    );
                }
                if user.state() == pb::UserState::Disabled {
                    complain("the account is closed: nothing is mailed until it is opened again");
                }
                let request = pb::RequestPasswordResetRequest {
                    // One of the two says which account it is.
                    email: if user.username.is_empty() {
                        user.email
                    } else {
                        String::new()
                    },
                    username: user.username,
                };
                let sent = AuthServiceClient::new(line)
                    .request_password_reset(timed(request))
                    .await?
                    .into_inner();
                output.one("RequestPasswordResetResponse", &sent, || {
                    sent.message.clone()
                })
            })
            .await
        }
    }
}

async fn make(create: Create) -> Result<(), Failure> {
    let Create {
        name,
        email,
        role,
        generate,
        local,
        remote,
        output,
    } = create;
    let (username, mut address) = by_name(&name);
    if let Some(email) = email {
        if !address.is_empty() {
            return Err(Failure::Usage(
                "NAME is an email address: --email is one too many".into(),
            ));
        }
        address = email;
    }
    if local.is_meant() {
        return local::create(&local, &username, &address, role.into(), generate, output).await;
    }
    session(&remote, async |line| {
        let new = NewPassword::get(generate)?;
        let request = pb::CreateUserRequest {
            user: Some(pb::User {
                username,
                email: address,
                role: pb::Role::from(role).into(),
                ..Default::default()
            }),
            password: new.password.expose_secret().to_owned(),
            request_id: request_id(),
        };
        let made = UserServiceClient::new(line)
            .create_user(timed(request))
            .await?;
        tell_with_password(output, "made", &made.into_inner(), &new)
    })
    .await
}

async fn list(
    line: Line,
    mut request: pb::ListUsersRequest,
    output: Output,
) -> Result<(), Failure> {
    let columns = [
        "id",
        "user name",
        "email",
        "role",
        "state",
        "made",
        "last login",
    ];
    let mut told = List::new(output, "User", &columns);
    let mut users = UserServiceClient::new(line);
    loop {
        let page = users.list_users(timed(request.clone())).await?.into_inner();
        for user in &page.users {
            told.add(user, || {
                vec![
                    user.id.to_string(),
                    user.username.clone(),
                    user.email.clone(),
                    word(user.role().as_str_name(), "ROLE_"),
                    word(user.state().as_str_name(), "USER_STATE_"),
                    time(user.create_time.as_ref()),
                    time(user.last_login_time.as_ref()),
                ]
            })?;
        }
        if page.next_page_token.is_empty() {
            told.end("accounts")?;
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

fn tell(output: Output, what: &str, user: &pb::User) -> Result<(), Failure> {
    output.one("User", user, || format!("{what}: {}", words(user)))
}

/// An account and the password that was generated for it, told this once.
pub(crate) fn tell_with_password(
    output: Output,
    what: &str,
    user: &pb::User,
    new: &NewPassword,
) -> Result<(), Failure> {
    let mut value = json("User", user)?;
    if let (Some(password), Some(object)) = (new.to_tell(), value.as_object_mut()) {
        object.insert("password".to_owned(), password.into());
    }
    output.value(&value, || {
        let secret = new
            .to_tell()
            .map(|password| format!("\npassword (told only this once): {password}"))
            .unwrap_or_default();
        format!("{what}: {}{secret}", words(user))
    })
}

fn words(user: &pb::User) -> String {
    let name = if user.username.is_empty() {
        &user.email
    } else {
        &user.username
    };
    let (role, state) = (user.role().as_str_name(), user.state().as_str_name());
    let (role, state) = (word(role, "ROLE_"), word(state, "USER_STATE_"));
    format!("{name}, id {}, {role}, {state}", user.id)
}

/// So that an answer that was lost on the way can be asked for again by the channel.
pub(crate) fn request_id() -> String {
    SystemEntropy.uuid_v4().to_string()
}
