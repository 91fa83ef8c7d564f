//! What ValidateToken answers.

use millgate_contract::auth::v1 as pb;
use millgate_guard::Claims;

use super::TOKEN_TYPE;
use crate::actions::introspect::{Active, Introspection};
use crate::domain::seconds;
use crate::standing::Ground;

/// What was found, as it goes out.
pub(crate) fn introspection(found: Introspection) -> pb::ValidateTokenResponse {
    let active = match found {
        Introspection::Active(active) => *active,
        Introspection::Inactive(reason) => {
            return pb::ValidateTokenResponse {
                reason: reason.to_owned(),
                ..Default::default()
            };
        }
    };
    let Active {
        claims,
        username,
        ground,
    } = active;
    let (kind, session_end) = match ground {
        Ground::Session(end) => (pb::SessionKind::Login, seconds(end)),
        Ground::AccessToken(end) => (pb::SessionKind::AccessToken, seconds(end)),
        Ground::ServiceAccount => (pb::SessionKind::Unspecified, 0),
    };
    let Claims {
        issuer,
        audience,
        subject,
        issued_at,
        expires_at,
        token_id,
        auth_time,
        amr,
        scope,
        role,
        session,
        actors,
        ..
    } = claims;
    pb::ValidateTokenResponse {
        active: true,
        reason: String::new(),
        scope: scope.as_ref().map(ToString::to_string).unwrap_or_default(),
        client_id: if role.is_none() {
            subject.clone()
        } else {
            String::new()
        },
        username,
        token_type: TOKEN_TYPE.to_owned(),
        exp: expires_at,
        iat: issued_at,
        sub: subject,
        aud: audience,
        iss: issuer,
        jti: token_id,
        role: role.unwrap_or_default(),
        sid: session.unwrap_or_default(),
        auth_time: auth_time.unwrap_or_default(),
        amr,
        act: actors,
        session_kind: kind.into(),
        session_exp: session_end,
    }
}
