//! AuthService.

use std::sync::Arc;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_server::AuthService;
use millgate_guard::bearer_token;
use millgate_platform::{Fault, Reason};
use secrecy::ExposeSecret;
use tonic::{Request, Response, Status};

use super::{Known, Visitor, sign_in};
use crate::actions::introspect::introspect;
use crate::actions::login::LoggedIn;
use crate::actions::logout::{Holding, log_out};
use crate::actions::{
    accounts, exchange, login, password, password_reset, refresh, register, revoke_token,
    second_step, service_token, sessions, step_up,
};
use crate::app::App;
use crate::domain::{ChallengeToken, RefreshToken};
use crate::wire::{self, ACCESS_TOKEN_TYPE, TOKEN_TYPE};

/// The handlers over what they share.
pub(super) struct Auth(pub(super) Arc<App>);

/// For people, with the tokens of a login.
const LOGGED_IN: &str = "Successfully logged in.";

#[tonic::async_trait]
impl AuthService for Auth {
    async fn register(
        &self,
        request: Request<pb::RegisterRequest>,
    ) -> Result<Response<pb::RegisterResponse>, Status> {
        let Visitor {
            message, origin, ..
        } = Visitor::of(request)?;
        register::is_open(&self.0)?;
        let (names, password) = sign_in::registration(&message)?;
        Ok(Response::new(
            register::register(&self.0, names, &password, message, &origin).await?,
        ))
    }

    async fn login(
        &self,
        request: Request<pb::LoginRequest>,
    ) -> Result<Response<pb::TokenResponse>, Status> {
        let Visitor {
            message, origin, ..
        } = Visitor::of(request)?;
        let (name, password, code, device) = sign_in::login(&message)?;
        let code = code.as_ref();
        let done = login::log_in(&self.0, &name, &password, code, &device, &origin).await?;
        Ok(Response::new(match done {
            LoggedIn::Complete(issued) => wire::tokens(&issued, LOGGED_IN),
            LoggedIn::CodeWanted(token) => wire::code_wanted(&token),
        }))
    }

    async fn complete_login(
        &self,
        request: Request<pb::CompleteLoginRequest>,
    ) -> Result<Response<pb::TokenResponse>, Status> {
        let Visitor {
            message, origin, ..
        } = Visitor::of(request)?;
        let code = sign_in::second_step(&message)?;
        let token =
            ChallengeToken::parse(&message.mfa_token).ok_or_else(second_step::challenge_invalid)?;
        let issued = second_step::complete(&self.0, &token, &code, &origin).await?;
        Ok(Response::new(wire::tokens(&issued, LOGGED_IN)))
    }

    async fn refresh(
        &self,
        request: Request<pb::RefreshRequest>,
    ) -> Result<Response<pb::TokenResponse>, Status> {
        let Visitor {
            message, origin, ..
        } = Visitor::of(request)?;
        if message.refresh_token.is_empty() {
            return Err(Fault::field("refresh_token", "is needed").into());
        }
        let token = RefreshToken::parse(&message.refresh_token, &self.0.refresh_keys)
            .ok_or_else(|| Fault::new(Reason::RefreshInvalid, "the refresh token is not valid"))?;
        let issued = refresh::refresh(&self.0, &token, &origin).await?;
        Ok(Response::new(wire::tokens(&issued, "Tokens refreshed.")))
    }

    async fn logout(
        &self,
        request: Request<pb::LogoutRequest>,
    ) -> Result<Response<pb::LogoutResponse>, Status> {
        let Visitor {
            message,
            metadata,
            origin,
        } = Visitor::of(request)?;
        let holding = match message.refresh_token.as_str() {
            "" => bearer_token(&metadata).map_or(Holding::Nothing, Holding::Access),
            text => RefreshToken::parse(text, &self.0.refresh_keys)
                .map_or(Holding::Nothing, Holding::Refresh),
        };
        log_out(&self.0, holding, &origin).await?;
        Ok(Response::new(pb::LogoutResponse {
            message: "Successfully logged out.".to_owned(),
        }))
    }

    async fn logout_everywhere(
        &self,
        request: Request<pb::LogoutEverywhereRequest>,
    ) -> Result<Response<pb::LogoutEverywhereResponse>, Status> {
        let Known { caller, origin, .. } = Known::of(request)?;
        let ended = sessions::log_out_everywhere(&self.0, &caller, &origin).await?;
        Ok(Response::new(pb::LogoutEverywhereResponse {
            message: "Successfully logged out everywhere.".to_owned(),
            sessions_ended: i32::try_from(ended).unwrap_or(i32::MAX),
        }))
    }

    async fn reauthenticate(
        &self,
        request: Request<pb::ReauthenticateRequest>,
    ) -> Result<Response<pb::ReauthenticateResponse>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let given = sign_in::step_up(&message)?;
        let fresh = step_up::reauthenticate(&self.0, &caller, &given, &origin).await?;
        Ok(Response::new(pb::ReauthenticateResponse {
            access_token: fresh.access.text.expose_secret().to_owned(),
            token_type: TOKEN_TYPE.to_owned(),
            expires_in: fresh.access.expires_in,
            session_id: fresh.session,
            auth_time: Some(wire::timestamp(fresh.auth_time)),
        }))
    }

    async fn issue_service_token(
        &self,
        request: Request<pb::IssueServiceTokenRequest>,
    ) -> Result<Response<pb::IssueServiceTokenResponse>, Status> {
        let Visitor {
            message, origin, ..
        } = Visitor::of(request)?;
        let (client, secret, asked) = sign_in::service_token(&message)?;
        let (access, scopes) =
            service_token::issue(&self.0, client.as_ref(), &secret, asked, &origin).await?;
        Ok(Response::new(pb::IssueServiceTokenResponse {
            access_token: access.text.expose_secret().to_owned(),
            token_type: TOKEN_TYPE.to_owned(),
            expires_in: access.expires_in,
            scope: scopes.to_string(),
        }))
    }

    async fn validate_token(
        &self,
        request: Request<pb::ValidateTokenRequest>,
    ) -> Result<Response<pb::ValidateTokenResponse>, Status> {
        let Known {
            caller, message, ..
        } = Known::of(request)?;
        if message.token.is_empty() {
            return Err(Fault::field("token", "is needed").into());
        }
        let found = introspect(&self.0, &caller, &message.token).await?;
        Ok(Response::new(wire::introspection(found)))
    }

    async fn exchange_token(
        &self,
        request: Request<pb::ExchangeTokenRequest>,
    ) -> Result<Response<pb::ExchangeTokenResponse>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let asked = sign_in::exchange(&message, self.0.mint.audience())?;
        let subject = &message.subject_token;
        let (access, scopes) =
            exchange::exchange(&self.0, &caller, subject, asked.as_ref(), &origin).await?;
        Ok(Response::new(pb::ExchangeTokenResponse {
            access_token: access.text.expose_secret().to_owned(),
            issued_token_type: ACCESS_TOKEN_TYPE.to_owned(),
            token_type: TOKEN_TYPE.to_owned(),
            expires_in: access.expires_in,
            scope: scopes.to_string(),
        }))
    }

    async fn revoke_token(
        &self,
        request: Request<pb::RevokeTokenRequest>,
    ) -> Result<Response<pb::RevokeTokenResponse>, Status> {
        let Visitor {
            message, origin, ..
        } = Visitor::of(request)?;
        revoke_token::revoke(
            &self.0,
            sign_in::ending(&message, &self.0.refresh_keys)?,
            &origin,
        )
        .await?;
        Ok(Response::new(pb::RevokeTokenResponse {
            message: "The token has ended.".to_owned(),
        }))
    }

    async fn who_am_i(
        &self,
        request: Request<pb::WhoAmIRequest>,
    ) -> Result<Response<pb::WhoAmIResponse>, Status> {
        let Known { caller, .. } = Known::of(request)?;
        let claims = caller.claims();
        let user = match caller.user_id() {
            Some(id) => Some(wire::user(&accounts::get(&self.0, &caller, id).await?)),
            None => None,
        };
        let at = |seconds: i64| prost_types::Timestamp { seconds, nanos: 0 };
        Ok(Response::new(pb::WhoAmIResponse {
            client_id: if user.is_none() {
                claims.subject.clone()
            } else {
                String::new()
            },
            user,
            scope: claims
                .scope
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            session_id: claims.session.clone().unwrap_or_default(),
            expire_time: Some(at(claims.expires_at)),
            auth_time: claims.auth_time.map(at),
            amr: claims.amr.clone(),
        }))
    }

    async fn change_password(
        &self,
        request: Request<pb::ChangePasswordRequest>,
    ) -> Result<Response<pb::TokenResponse>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let (current, new) = sign_in::password_change(&message)?;
        let issued = password::change(&self.0, &caller, &current, &new, &origin).await?;
        Ok(Response::new(wire::tokens(&issued, "Password changed.")))
    }

    async fn request_password_reset(
        &self,
        request: Request<pb::RequestPasswordResetRequest>,
    ) -> Result<Response<pb::RequestPasswordResetResponse>, Status> {
        let Visitor {
            message, origin, ..
        } = Visitor::of(request)?;
        let name = sign_in::reset_request(&message)?;
        self.0.resets.take(name, origin)?;
        Ok(Response::new(pb::RequestPasswordResetResponse {
            message: "If there is such an account with an address, a mail is on its way."
                .to_owned(),
        }))
    }

    async fn reset_password(
        &self,
        request: Request<pb::ResetPasswordRequest>,
    ) -> Result<Response<pb::ResetPasswordResponse>, Status> {
        let Visitor {
            message, origin, ..
        } = Visitor::of(request)?;
        let (token, new) = sign_in::reset(&message)?;
        password_reset::reset(&self.0, token.as_ref(), &new, &origin).await?;
        Ok(Response::new(pb::ResetPasswordResponse {
            message: "Password set. Please log in.".to_owned(),
        }))
    }
}
