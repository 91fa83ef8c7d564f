//! `--local`: the database of a stopped service, without a login. Whoever can read the secrets file may do everything.

use std::path::PathBuf;

use auth_service::{Ambient, Recovery};
use millgate_contract::auth::v1 as pb;

use super::Failure;
use super::audit::Report;
use super::output::Output;
use super::prompt::NewPassword;
use super::users::tell_with_password;
use crate::folder::Folder;
use crate::serve::{AuthDatabaseUrl, auth_settings};
use crate::terminal::complain;

/// Where the stopped service has its things.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "A stopped service")]
pub(crate) struct Local {
    /// Works on the database of a stopped service, without a login. The database and the secrets are found as the service
    /// finds them: by AUTH_DATABASE_URL and AUTH_SECRETS, else in the data folder.
    #[arg(long)]
    local: bool,

    /// The data folder of `millgate serve`.
    #[arg(
        long,
        env = "MILLGATE_DATA_DIR",
        value_name = "PATH",
        default_value = "./millgate-data"
    )]
    data_dir: PathBuf,

    #[command(flatten)]
    database: AuthDatabaseUrl,
}

impl Local {
    /// Whether the command is for a stopped service.
    pub(crate) fn is_meant(&self) -> bool {
        self.local
    }

    async fn open(&self) -> Result<Recovery, Failure> {
        let database = self.database.resolve()?;
        if database.is_none() && !self.data_dir.is_dir() {
            let shown = self.data_dir.display();
            return Err(Failure::Refused(format!(
                "--data-dir (MILLGATE_DATA_DIR): there is no folder {shown}"
            )));
        }
        let folder = Folder::open(&self.data_dir)?;
        let settings = auth_settings(&folder, database)?;
        let recovery = Recovery::open(settings, Ambient::default()).await?;
        if !recovery.is_alone() {
            complain(
                "nobody knows whether a service works on the same PostgreSQL database: it may answer from what it remembers for a moment",
            );
        }
        Ok(recovery)
    }
}

/// `users create --local`.
pub(crate) async fn create(
    local: &Local,
    username: &str,
    email: &str,
    role: pb::Role,
    generate: bool,
    output: Output,
) -> Result<(), Failure> {
    let recovery = local.open().await?;
    let new = NewPassword::get(generate)?;
    let user = pb::User {
        username: username.to_owned(),
        email: email.to_owned(),
        role: role.into(),
        ..Default::default()
    };
    let made = recovery.create_user(&user, &new.password).await;
    recovery.close().await;
    tell_with_password(output, "made", &made?, &new)
}

/// `users reset-password --local`.
pub(crate) async fn reset_password(
    local: &Local,
    user: &str,
    generate: bool,
    output: Output,
) -> Result<(), Failure> {
    let recovery = local.open().await?;
    let new = NewPassword::get(generate)?;
    let reset = recovery.reset_password(user, &new.password).await;
    recovery.close().await;
    tell_with_password(output, "has another password", &reset?, &new)
}

/// `totp remove --local`.
pub(crate) async fn remove_second_factor(
    local: &Local,
    user: &str,
    output: Output,
) -> Result<(), Failure> {
    let recovery = local.open().await?;
    let removed = recovery.remove_second_factor(user).await;
    recovery.close().await;
    output.one("User", &removed?, || {
        "The second factor is removed.".to_owned()
    })
}

/// `audit verify --local`.
pub(crate) async fn verify(local: &Local, output: Output) -> Result<(), Failure> {
    let recovery = local.open().await?;
    let mut report = Report::default();
    let mut verification = recovery.verify_audit().await?;
    loop {
        let progress = verification.step().await?;
        let ended = progress.intact.is_some();
        report.add(progress.into());
        if ended {
            break;
        }
    }
    recovery.close().await;
    report.tell(output)
}
