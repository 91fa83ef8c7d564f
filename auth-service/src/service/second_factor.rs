//! SecondFactorService.

use std::sync::Arc;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::second_factor_service_server::SecondFactorService;
use millgate_platform::{Fault, FieldFault, Fields};
use secrecy::ExposeSecret;
use tonic::{Request, Response, Status};

use super::Known;
use crate::actions::second_factor::{self, Whose, whose};
use crate::app::App;
use crate::domain::Code;
use crate::qr::Qr;
use crate::wire;

/// The handlers over what they share.
pub(super) struct SecondFactors(pub(super) Arc<App>);

#[tonic::async_trait]
impl SecondFactorService for SecondFactors {
    async fn get_second_factor(
        &self,
        request: Request<pb::GetSecondFactorRequest>,
    ) -> Result<Response<pb::SecondFactor>, Status> {
        let Known {
            caller, message, ..
        } = Known::of(request)?;
        let mut fields = Fields::new();
        let user = fields.parse("user_id", user_id(message.user_id));
        let (user,) = fields.all((user,))?;
        let known = second_factor::get(&self.0, &caller, user).await?;
        Ok(Response::new(shown(&known)))
    }

    async fn begin_totp(
        &self,
        request: Request<pb::BeginTotpRequest>,
    ) -> Result<Response<pb::BeginTotpResponse>, Status> {
        let Known { caller, origin, .. } = Known::of(request)?;
        let begun = second_factor::begin(&self.0, &caller, &origin).await?;
        Ok(Response::new(pb::BeginTotpResponse {
            secret: begun.secret.expose_secret().to_owned(),
            otpauth_uri: begun.uri.expose_secret().to_owned(),
            qr_png: image(begun.uri.expose_secret())?,
            expire_time: Some(wire::timestamp(begun.expire_time)),
        }))
    }

    async fn confirm_totp(
        &self,
        request: Request<pb::ConfirmTotpRequest>,
    ) -> Result<Response<pb::ConfirmTotpResponse>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let mut fields = Fields::of_request(&message.request_id);
        let code = fields.parse("code", Code::parse_totp(&message.code));
        let (code,) = fields.all((code,))?;
        let answer = second_factor::confirm(&self.0, &caller, &code, message, &origin).await?;
        Ok(Response::new(answer))
    }

    async fn remove_totp(
        &self,
        request: Request<pb::RemoveTotpRequest>,
    ) -> Result<Response<pb::RemoveTotpResponse>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let mut fields = Fields::of_request(&message.request_id);
        let user = fields.parse("user_id", user_id(message.user_id));
        let code = fields.parse("code", wire::optional(&message.code, Code::parse));
        let (user, code) = fields.all((user, code))?;
        let answer = match (whose(&caller, user)?, code) {
            (Whose::Own, Some(code)) => {
                second_factor::remove(&self.0, &caller, &code, message, &origin).await?
            }
            (Whose::Own, None) => return Err(Fault::field("code", "is needed").into()),
            (Whose::Lost(id), None) => {
                second_factor::remove_lost(&self.0, &caller, id, message, &origin).await?
            }
            (Whose::Lost(_), Some(_)) => {
                let refused = "goes with the caller's own second factor only";
                return Err(Fault::field("code", refused).into());
            }
        };
        Ok(Response::new(answer))
    }

    async fn regenerate_recovery_codes(
        &self,
        request: Request<pb::RegenerateRecoveryCodesRequest>,
    ) -> Result<Response<pb::RegenerateRecoveryCodesResponse>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let mut fields = Fields::of_request(&message.request_id);
        let code = fields.parse("code", Code::parse(&message.code));
        let (code,) = fields.all((code,))?;
        let answer = second_factor::regenerate(&self.0, &caller, &code, message, &origin).await?;
        Ok(Response::new(answer))
    }
}

/// Whose: nobody named is the caller.
fn user_id(number: i64) -> Result<Option<i64>, FieldFault> {
    match number {
        0 => Ok(None),
        number => wire::id(number).map(Some),
    }
}

fn image(uri: &str) -> Result<Vec<u8>, Fault> {
    let unfit = |error| Fault::internal("an otpauth URI makes no QR code").with_source(error);
    Qr::new(uri).and_then(|qr| qr.png()).map_err(unfit)
}

fn shown(known: &second_factor::Known) -> pb::SecondFactor {
    let state = match (known.confirm_time, known.pending) {
        (Some(_), _) => pb::SecondFactorState::On,
        (None, true) => pb::SecondFactorState::Pending,
        (None, false) => pb::SecondFactorState::None,
    };
    pb::SecondFactor {
        state: state.into(),
        recovery_codes_left: i32::try_from(known.recovery_codes_left).unwrap_or(i32::MAX),
        confirm_time: known.confirm_time.map(wire::timestamp),
    }
}
