//! Which account is meant: an id, a user name or an email address.

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::user_service_client::UserServiceClient;

use super::Failure;
use super::connect::{Line, by_name, timed};

/// The account that is meant. A number is taken for an id.
///
/// # Errors
/// When there is none.
pub(crate) async fn find(line: &Line, name: &str) -> Result<pb::User, Failure> {
    let mut users = UserServiceClient::new(line.clone());
    if let Ok(id) = name.parse() {
        return Ok(users
            .get_user(timed(pb::GetUserRequest { id }))
            .await?
            .into_inner());
    }
    // The service tells names apart as its logins do; here nobody could.
    let (username, email) = by_name(name);
    let request = pb::ListUsersRequest {
        username,
        email,
        ..Default::default()
    };
    let found = users.list_users(timed(request)).await?.into_inner().users;
    found
        .into_iter()
        .next()
        .ok_or_else(|| Failure::Refused(format!("there is no account {name}")))
}
