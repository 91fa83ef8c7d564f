//! The double's AuthService: logins and service tokens.

use std::time::Duration;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_server::AuthService;
use millgate_guard::Details;
use tonic::{Code, Request, Response, Status};

use super::{AuthDouble, Trouble, fault};

#[tonic::async_trait]
impl AuthService for AuthDouble {
    async fn login(
        &self,
        request: Request<pb::LoginRequest>,
    ) -> Result<Response<pb::TokenResponse>, Status> {
        let client = request
            .metadata()
            .get("x-forwarded-for")
            .and_then(|value| value.to_str().ok());
        let client = client.unwrap_or_default().to_owned();
        let request = request.into_inner();
        let mut state = self.state();
        state.clients.push(client);
        match state.trouble {
            Trouble::Down => return Err(Status::unavailable("down")),
            Trouble::Throttled => {
                let details = Details::none().retry_after(Duration::from_secs(30));
                return Err(millgate_guard::status(
                    Code::ResourceExhausted,
                    "ACCOUNT_THROTTLED",
                    "slow",
                    details,
                ));
            }
            _ => {}
        }
        let known = state
            .users
            .iter()
            .find(|(_, user)| user.email == request.email && user.password == request.password);
        let Some((id, user)) = known else {
            return Err(fault(Code::Unauthenticated, "CREDENTIALS_INVALID"));
        };
        if state.trouble == Trouble::WantsACode && request.totp_code != "123456" {
            return Ok(Response::new(pb::TokenResponse {
                status: "mfa_required".to_owned(),
                mfa_required: true,
                mfa_token: "half a login".to_owned(),
                ..Default::default()
            }));
        }
        let token = self.issuer.user(*id, user.role).token();
        Ok(Response::new(pb::TokenResponse {
            status: "success".to_owned(),
            message: String::new(),
            token: token.clone(),
            access_token: token,
            refresh_token: format!("refresh-of-{id}"),
            token_type: "Bearer".to_owned(),
            expires_in: 900,
            session_id: format!("session-of-{id}"),
            ..Default::default()
        }))
    }

    async fn logout(
        &self,
        request: Request<pb::LogoutRequest>,
    ) -> Result<Response<pb::LogoutResponse>, Status> {
        self.state()
            .ended_sessions
            .push(request.into_inner().refresh_token);
        Ok(Response::new(pb::LogoutResponse {
            message: String::new(),
        }))
    }

    async fn issue_service_token(
        &self,
        request: Request<pb::IssueServiceTokenRequest>,
    ) -> Result<Response<pb::IssueServiceTokenResponse>, Status> {
        let request = request.into_inner();
        if self.state().trouble == Trouble::Down {
            return Err(Status::unavailable("down"));
        }
        if request.client_secret != "a secret of the factory" {
            return Err(fault(Code::Unauthenticated, "CREDENTIALS_INVALID"));
        }
        let scope = "users.read users.write";
        Ok(Response::new(pb::IssueServiceTokenResponse {
            access_token: self.issuer.service(&request.client_id, scope).token(),
            token_type: "Bearer".to_owned(),
            expires_in: 900,
            scope: scope.to_owned(),
        }))
    }

    async fn register(
        &self,
        _: Request<pb::RegisterRequest>,
    ) -> Result<Response<pb::RegisterResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn refresh(
        &self,
        _: Request<pb::RefreshRequest>,
    ) -> Result<Response<pb::TokenResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn validate_token(
        &self,
        _: Request<pb::ValidateTokenRequest>,
    ) -> Result<Response<pb::ValidateTokenResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn who_am_i(
        &self,
        _: Request<pb::WhoAmIRequest>,
    ) -> Result<Response<pb::WhoAmIResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn change_password(
        &self,
        _: Request<pb::ChangePasswordRequest>,
    ) -> Result<Response<pb::TokenResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn request_password_reset(
        &self,
        _: Request<pb::RequestPasswordResetRequest>,
    ) -> Result<Response<pb::RequestPasswordResetResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn reset_password(
        &self,
        _: Request<pb::ResetPasswordRequest>,
    ) -> Result<Response<pb::ResetPasswordResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn logout_everywhere(
        &self,
        _: Request<pb::LogoutEverywhereRequest>,
    ) -> Result<Response<pb::LogoutEverywhereResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn reauthenticate(
        &self,
        _: Request<pb::ReauthenticateRequest>,
    ) -> Result<Response<pb::ReauthenticateResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn complete_login(
        &self,
        _: Request<pb::CompleteLoginRequest>,
    ) -> Result<Response<pb::TokenResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn exchange_token(
        &self,
        _: Request<pb::ExchangeTokenRequest>,
    ) -> Result<Response<pb::ExchangeTokenResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn revoke_token(
        &self,
        _: Request<pb::RevokeTokenRequest>,
    ) -> Result<Response<pb::RevokeTokenResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}
