//! The auth service, as the factory calls it: with its own service account, and with the customer's credentials.

use std::future::Future;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_client::AuthServiceClient;
use millgate_contract::auth::v1::user_service_client::UserServiceClient;
use millgate_guard::{IssuedToken, TokenSource};
use millgate_platform::{Propagation, SharedClock};
use secrecy::{ExposeSecret as _, SecretString};
use std::time::Duration;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

mod outcome;

pub(crate) use outcome::{Refused, told, unavailable};

type Wire = InterceptedService<Channel, Propagation>;

/// The auth service.
#[derive(Clone)]
pub(crate) struct Auth {
    users: UserServiceClient<Wire>,
    logins: AuthServiceClient<Wire>,
    tokens: TokenSource,
}

/// Our own credentials there.
pub(crate) struct ServiceAccount {
    pub(crate) client_id: String,
    pub(crate) client_secret: SecretString,
}

impl Auth {
    pub(crate) fn new(
        channel: Channel,
        propagation: Propagation,
        account: ServiceAccount,
        clock: SharedClock,
    ) -> Self {
        let logins = AuthServiceClient::with_interceptor(channel.clone(), propagation.clone());
        let asked = logins.clone();
        let account = std::sync::Arc::new(account);
        let fetch = move || -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> {
            let (mut asked, account) = (asked.clone(), account.clone());
            Box::pin(async move {
                let request = pb::IssueServiceTokenRequest {
                    client_id: account.client_id.clone(),
                    client_secret: account.client_secret.expose_secret().to_owned(),
                    scope: String::new(),
                };
                let issued = asked.issue_service_token(request).await?.into_inner();
                Ok(IssuedToken {
                    access_token: SecretString::from(issued.access_token),
                    expires_in: Duration::from_secs(u64::try_from(issued.expires_in).unwrap_or(0)),
                })
            })
        };
        let users = UserServiceClient::with_interceptor(channel, propagation);
        Self {
            users,
            logins,
            tokens: TokenSource::new(fetch, clock),
        }
    }

    /// Our own tokens there.
    pub(crate) fn tokens(&self) -> TokenSource {
        self.tokens.clone()
    }

    /// Makes a user with the role `customer`, under an id of ours. The same id again gives the same user.
    pub(crate) async fn create_customer(
        &self,
        id: &str,
        email: &str,
        password: &str,
    ) -> Result<i64, Refused> {
        let request = pb::CreateUserRequest {
            user: Some(pb::User {
                email: email.to_owned(),
                role: pb::Role::Customer.into(),
                external_id: id.to_owned(),
                ..pb::User::default()
            }),
            password: password.to_owned(),
            request_id: id.to_owned(),
        };
        let user = self
            .as_service(request, |mut users, request| async move {
                users.create_user(request).await
            })
            .await?;
        Ok(user.id)
    }

    /// The user that was made under an id of ours.
    pub(crate) async fn find_customer(&self, id: &str) -> Result<Option<i64>, Refused> {
        let request = pb::ListUsersRequest {
            external_id: id.to_owned(),
            page_size: 1,
            ..Default::default()
        };
        let found = self
            .as_service(request, |mut users, request| async move {
                users.list_users(request).await
            })
            .await?;
        Ok(found
            .users
            .first()
            .filter(|user| user.external_id == id)
            .map(|user| user.id))
    }

    /// Deletes a user; one that is not there is deleted. One whom auth no longer lets us delete has become somebody
    /// else's to delete, staff for example, and that is settled too: a refusal that is kept and tried again would end
    /// their login on the day they are a customer again. A refusal of our own account (SCOPE_DENIED) is not about the
    /// user, and stays to be tried again.
    pub(crate) async fn delete_user(&self, id: i64) -> Result<(), Refused> {
        let request = pb::DeleteUserRequest {
            id,
            etag: String::new(),
        };
        let deleted = self
            .as_service(request, |mut users, request| async move {
                users.delete_user(request).await
            })
            .await;
        match deleted {
            Err(Refused::Plainly(status)) if status.code() == Code::NotFound => Ok(()),
            Err(refused) if refused.is_of_the_users_role() => {
                tracing::warn!(
                    user_id = id,
                    "a login stays: its user is no longer a customer"
                );
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Logs a person in with what they sent. The errors are theirs to read.
    pub(crate) async fn login(
        &self,
        request: pb::LoginRequest,
    ) -> Result<pb::TokenResponse, Status> {
        let answer = self.logins.clone().login(request).await;
        answer.map(tonic::Response::into_inner).map_err(told)
    }

    /// Ends the session of a refresh token.
    pub(crate) async fn logout(&self, refresh_token: String) -> Result<(), Status> {
        let ended = self
            .logins
            .clone()
            .logout(pb::LogoutRequest { refresh_token })
            .await;
        ended.map(drop).map_err(told)
    }

    /// Calls with our own token. One that is refused (the keys have changed, the account's secret was rotated) is
    /// dropped, and the call made once more with a new one.
    async fn as_service<Q, A, F, Fut>(&self, message: Q, call: F) -> Result<A, Refused>
    where
        Q: Clone,
        F: Fn(UserServiceClient<Wire>, Request<Q>) -> Fut,
        Fut: Future<Output = Result<tonic::Response<A>, Status>>,
    {
        let mut again = true;
        loop {
            let mut request = Request::new(message.clone());
            self.tokens
                .authorize(&mut request)
                .await
                .map_err(Refused::not_sent)?;
            match call(self.users.clone(), request).await {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) if status.code() == Code::Unauthenticated && again => {
                    again = false;
                    self.tokens.forget();
                }
                Err(status) => return Err(Refused::of(status)),
            }
        }
    }
}
