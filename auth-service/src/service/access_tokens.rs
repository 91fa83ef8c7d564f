//! AccessTokenService.

use std::sync::Arc;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::access_token_service_server::AccessTokenService;
use millgate_guard::{Caller, Refusal};
use millgate_platform::{Binding, Fault, FieldFault, Fields, Page, PageRequest, Reason};
use secrecy::ExposeSecret;
use tonic::{Request, Response, Status};

use super::{Known, Visitor};
use crate::actions::access_tokens;
use crate::app::App;
use crate::domain::{KnownScopes, MachineSecret, Micros, NewAccessToken, SecretKind, words};
use crate::wire::{self, ACCESS_TOKEN_TYPE, TOKEN_TYPE};

/// The handlers over what they share.
pub(super) struct AccessTokens(pub(super) Arc<App>);

#[tonic::async_trait]
impl AccessTokenService for AccessTokens {
    async fn create_access_token(
        &self,
        request: Request<pb::CreateAccessTokenRequest>,
    ) -> Result<Response<pb::AccessToken>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let person = person(&caller)?;
        let new = wanted(&message, &self.0.known_scopes, self.0.now())?;
        let made = access_tokens::create(&self.0, &caller, person, &new, message, &origin).await?;
        Ok(Response::new(made))
    }

    async fn list_access_tokens(
        &self,
        request: Request<pb::ListAccessTokensRequest>,
    ) -> Result<Response<pb::ListAccessTokensResponse>, Status> {
        let Known {
            caller, message, ..
        } = Known::of(request)?;
        let own = person(&caller)?;
        let (newest_first, page) = self.listing(&caller, &message)?;
        let whose = if message.user_id == 0 {
            own
        } else {
            message.user_id
        };
        let (tokens, next_page_token) =
            access_tokens::list(&self.0, &caller, whose, newest_first, &page).await?;
        let now = self.0.now();
        let told = |token| wire::access_token(token, now);
        Ok(Response::new(pb::ListAccessTokensResponse {
            access_tokens: tokens.iter().map(told).collect(),
            next_page_token,
        }))
    }

    async fn revoke_access_token(
        &self,
        request: Request<pb::RevokeAccessTokenRequest>,
    ) -> Result<Response<pb::AccessToken>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let mut fields = Fields::of_request(&message.request_id);
        let id = fields.parse("id", wire::id(message.id));
        fields.all((id,))?;
        let token = access_tokens::revoke(&self.0, &caller, message, &origin).await?;
        Ok(Response::new(token))
    }

    async fn exchange_access_token(
        &self,
        request: Request<pb::ExchangeAccessTokenRequest>,
    ) -> Result<Response<pb::ExchangeAccessTokenResponse>, Status> {
        let Visitor {
            message, origin, ..
        } = Visitor::of(request)?;
        let mut fields = Fields::new();
        fields.check("token", !message.token.is_empty(), "is needed");
        let asked = fields.parse("scope", wire::scope(&message.scope));
        let (asked,) = fields.all((asked,))?;
        let token = MachineSecret::parse(SecretKind::AccessToken, &message.token);
        let (access, scopes) =
            access_tokens::exchange(&self.0, token.as_ref(), asked, &origin).await?;
        Ok(Response::new(pb::ExchangeAccessTokenResponse {
            access_token: access.text.expose_secret().to_owned(),
            issued_token_type: ACCESS_TOKEN_TYPE.to_owned(),
            token_type: TOKEN_TYPE.to_owned(),
            expires_in: access.expires_in,
            scope: scopes.to_string(),
        }))
    }
}

/// The person who calls: the access rules let nobody else in.
fn person(caller: &Caller) -> Result<i64, Status> {
    Ok(caller.user_id().ok_or(Refusal::PrincipalKindDenied)?)
}

fn wanted(
    message: &pb::CreateAccessTokenRequest,
    known: &KnownScopes,
    now: Micros,
) -> Result<NewAccessToken, Fault> {
    let mut fields = Fields::of_request(&message.request_id);
    let nothing = pb::AccessToken::default();
    let sent = message.access_token.as_ref();
    fields.check("access_token", sent.is_some(), "is needed");
    let sent = sent.unwrap_or(&nothing);
    for (field, written) in [
        ("access_token.id", sent.id != 0),
        ("access_token.user_id", sent.user_id != 0),
        ("access_token.state", sent.state != 0),
        ("access_token.create_time", sent.create_time.is_some()),
        ("access_token.last_used_time", sent.last_used_time.is_some()),
        ("access_token.revoke_time", sent.revoke_time.is_some()),
        ("access_token.session_id", !sent.session_id.is_empty()),
        ("access_token.token", !sent.token.is_empty()),
    ] {
        let not_writable =
            FieldFault::new(Reason::FieldNotWritable, "this field cannot be written");
        fields.check(field, !written, not_writable);
    }
    let name = fields.parse("access_token.name", name(&sent.name));
    let scopes = known.parse(&mut fields, "access_token.scopes", &sent.scopes);
    let end = |time| NewAccessToken::end(time, now).map_err(FieldFault::from);
    let expire_time = wire::time(sent.expire_time.as_ref()).and_then(end);
    let expire_time = fields.parse("access_token.expire_time", expire_time);
    let (name, scopes, expire_time) = fields.all((name, scopes, expire_time))?;
    Ok(NewAccessToken {
        name,
        scopes,
        expire_time,
    })
}

fn name(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("is needed".to_owned());
    }
    words(text, NewAccessToken::LONGEST_NAME)
}

impl AccessTokens {
    fn listing(
        &self,
        caller: &Caller,
        message: &pb::ListAccessTokensRequest,
    ) -> Result<(bool, Page), Fault> {
        let mut fields = Fields::new();
        fields.check("user_id", message.user_id >= 0, "must be a positive number");
        let newest_first = fields.parse("order_by", newest_first(&message.order_by));
        let (newest_first,) = fields.all((newest_first,))?;
        let binding = Binding::new(&caller.key())
            .with("access tokens", message.user_id)
            .with("order_by", &message.order_by);
        let (size, token) = (message.page_size, &message.page_token);
        let page = PageRequest::parse(size, token, binding, &self.0.page_key)?;
        Ok((newest_first, page))
    }
}

fn newest_first(order_by: &str) -> Result<bool, &'static str> {
    match order_by {
        "" | "id" => Ok(false),
        "id desc" => Ok(true),
        _ => Err("`id`, or `id desc` for the other way round"),
    }
}
