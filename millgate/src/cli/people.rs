//! Which account is meant: an id, a user name or an email address.

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::user_service_client::UserServiceClient;

use super::Failure;
use super::connect::{Line, timed};

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
    let mut request = pb::ListUsersRequest {
        page_size: 1000,
        ..Default::default()
    };
    let wanted = name.to_lowercase();
    loop {
        let page = users.list_users(timed(request.clone())).await?.into_inner();
        let found = page.users.into_iter().find(|user| {
            user.username.to_lowercase() == wanted || user.email.to_lowercase() == wanted
        });
        if let Some(user) = found {
            return Ok(user);
        }
        if page.next_page_token.is_empty() {
            return Err(Failure::Refused(format!("there is no account {name}")));
        }
        request.page_token = page.next_page_token;
    }
}
