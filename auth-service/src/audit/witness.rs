//! What the guard refused before any handler heard of it, and what handlers refuse because of the caller's rights: also
//! told to the audit log, under the name of the method. So whoever tries what they may not stands there beside whoever did
//! what they may.

use std::collections::HashMap;
use std::sync::Arc;

use millgate_guard::{Access, Claims, Rules, bearer_token};
use millgate_platform::{Reason, RefusedCall, Witness};

use super::REFUSED;
use crate::app::App;
use crate::domain::audit::Record;

/// The reasons that say something about whoever called. Not those that every honest client meets: no token
/// (TOKEN_MISSING), and one whose quarter of an hour is over (TOKEN_EXPIRED); they would fill a log that keeps all its rows.
const TOLD: [Reason; 10] = [
    Reason::TokenInvalid,
    Reason::TokenNotYetValid,
    Reason::TokenRevoked,
    Reason::TokenWrongType,
    Reason::SessionEnded,
    Reason::FreshTokenRequired,
    Reason::RoleDenied,
    Reason::ScopeDenied,
    Reason::PrincipalKindDenied,
    Reason::PolicyMissing,
];

/// What the call of somebody who is not known is named, whatever method it was for: of forged tokens there is no end, and
/// they should not be told apart by more than where they come from.
const OF_NOBODY: &str = "call";

/// Tells the audit log of calls that were refused. The methods with a rule that lets everybody in tell themselves what is
/// worth telling.
pub(crate) fn witness(app: &Arc<App>, rules: &Rules) -> Witness {
    let app = app.clone();
    let methods: HashMap<String, Option<String>> = rules
        .iter()
        .map(|(path, rule)| {
            let public = matches!(rule.access, Access::Public);
            (path.to_owned(), (!public).then(|| event_of(path)))
        })
        .collect();
    Arc::new(move |call| {
        let method = match methods.get(call.path) {
            Some(None) => return,
            Some(Some(event)) => event,
            None => OF_NOBODY,
        };
        if TOLD.contains(&call.reason) {
            let claims = bearer_token(call.credentials)
                .ok()
                .and_then(|token| app.verifier.read_signed(token).ok());
            let event = claims.as_ref().map_or(OF_NOBODY, |_| method);
            let record = record(event, call, claims.as_ref(), app.now());
            app.audit
                .summary()
                .add(record, Some(call.client.throttle_key()));
        }
    })
}

/// `/millgate.auth.v1.UserService/SetUserRole` is `set_user_role`, as the event of a call that was let through.
fn event_of(path: &str) -> String {
    let method = path.rsplit_once('/').map_or(path, |(_, method)| method);
    let mut event = String::with_capacity(method.len() + 4);
    for letter in method.chars() {
        if letter.is_ascii_uppercase() && !event.is_empty() {
            event.push('_');
        }
        event.push(letter.to_ascii_lowercase());
    }
    event
}

/// Who called is known only by a token that was well signed, however old or ended it is.
fn record(event: &str, call: &RefusedCall<'_>, claims: Option<&Claims>, time: i64) -> Record {
    let person = claims
        .filter(|claims| claims.role.is_some())
        .and_then(|claims| claims.subject.parse::<i64>().ok());
    let service = claims.filter(|claims| claims.role.is_none());
    let actor = match (person, service) {
        (Some(id), _) => format!("user:{id}"),
        (None, Some(claims)) => format!("service:{}", claims.subject),
        (None, None) => String::new(),
    };
    Record {
        time,
        event: event.to_owned(),
        outcome: REFUSED.to_owned(),
        cause: call.reason.as_str().to_owned(),
        actor,
        subject: person,
        client_id: service.map_or_else(String::new, |claims| claims.subject.clone()),
        session: claims
            .and_then(|claims| claims.session.clone())
            .unwrap_or_default(),
        address: call.client.address.to_string(),
        request_id: call.request_id.to_owned(),
        occurrences: 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_named_like_the_event_of_its_success() {
        for (path, event) in [
            ("/millgate.auth.v1.UserService/SetUserRole", "set_user_role"),
            ("/millgate.auth.v1.AuthService/WhoAmI", "who_am_i"),
            (
                "/millgate.auth.v1.SecondFactorService/BeginTotp",
                "begin_totp",
            ),
        ] {
            assert_eq!(event_of(path), event);
        }
    }
}
