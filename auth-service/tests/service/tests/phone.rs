//! An authenticator app, and the calls around a second factor.

use super::harness::*;
use millgate_contract::auth::v1 as pb;
use millgate_platform::Clock;
use tonic::{Response, Status};
use totp_rs::Totp;

/// An authenticator app that has scanned the code.
pub(crate) struct Phone(Totp);

impl Phone {
    pub(crate) fn scan(begun: &pb::BeginTotpResponse) -> Self {
        Self(Totp::from_url(&begun.otpauth_uri).expect("an app reads the URI"))
    }

    /// What it shows when its clock is `ahead` seconds of the server's.
    pub(crate) fn shows(&self, house: &House, ahead: i64) -> String {
        let now = house.clock.now_seconds() + ahead;
        let now = u64::try_from(now).expect("after the epoch");
        self.0.generate(now).to_string()
    }

    /// What it shows now.
    pub(crate) fn code(&self, house: &House) -> String {
        self.shows(house, 0)
    }

    /// A code of today's form that it does not show around now.
    pub(crate) fn wrong(&self, house: &House) -> String {
        let around: Vec<_> = (-2..=2).map(|step| self.shows(house, step * 30)).collect();
        let mut codes = (0..10).map(|number| format!("{number:06}"));
        codes
            .find(|code| !around.contains(code))
            .expect("five codes are not ten")
    }
}

/// Half of every test here: the next code that was not used.
pub(crate) fn next_step(house: &House) {
    house.clock.advance(std::time::Duration::from_secs(30));
}

pub(crate) async fn begin(house: &House, token: &str) -> Result<pb::BeginTotpResponse, Status> {
    let request = with(token, pb::BeginTotpRequest {});
    let begun = house.second_factors.clone().begin_totp(request).await;
    begun.map(Response::into_inner)
}

pub(crate) async fn confirm(
    house: &House,
    token: &str,
    code: &str,
) -> Result<pb::ConfirmTotpResponse, Status> {
    let request = pb::ConfirmTotpRequest {
        code: code.to_owned(),
        request_id: String::new(),
    };
    confirm_with(house, token, request).await
}

pub(crate) async fn confirm_with(
    house: &House,
    token: &str,
    request: pb::ConfirmTotpRequest,
) -> Result<pb::ConfirmTotpResponse, Status> {
    let request = with(token, request);
    let confirmed = house.second_factors.clone().confirm_totp(request).await;
    confirmed.map(Response::into_inner)
}

pub(crate) async fn remove(
    house: &House,
    token: &str,
    code: &str,
    user_id: i64,
) -> Result<pb::RemoveTotpResponse, Status> {
    let request = pb::RemoveTotpRequest {
        code: code.to_owned(),
        user_id,
        request_id: String::new(),
    };
    let request = with(token, request);
    let removed = house.second_factors.clone().remove_totp(request).await;
    removed.map(Response::into_inner)
}

pub(crate) async fn regenerate(
    house: &House,
    token: &str,
    code: &str,
    request_id: &str,
) -> Result<pb::RegenerateRecoveryCodesResponse, Status> {
    let request = pb::RegenerateRecoveryCodesRequest {
        code: code.to_owned(),
        request_id: request_id.to_owned(),
    };
    let mut client = house.second_factors.clone();
    let made = client.regenerate_recovery_codes(with(token, request)).await;
    made.map(Response::into_inner)
}

/// State and recovery codes left.
pub(crate) async fn state(
    house: &House,
    token: &str,
    user_id: i64,
) -> Result<(pb::SecondFactorState, i32), Status> {
    let request = with(token, pb::GetSecondFactorRequest { user_id });
    let factor = house
        .second_factors
        .clone()
        .get_second_factor(request)
        .await?
        .into_inner();
    assert_eq!(
        factor.confirm_time.is_some(),
        factor.state() == pb::SecondFactorState::On
    );
    Ok((factor.state(), factor.recovery_codes_left))
}

/// Somebody who has turned the second factor on.
pub(crate) struct Enrolled {
    pub(crate) user: pb::User,
    pub(crate) phone: Phone,
    pub(crate) recovery_codes: Vec<String>,
    pub(crate) tokens: pb::TokenResponse,
}

/// Registers somebody and turns their second factor on. The next code that the app shows has not been used.
pub(crate) async fn enrolled(house: &House, username: &str) -> Enrolled {
    let user = house.register(username).await;
    let token = house.login(username).await.access_token;
    let begun = begin(house, &token).await.expect("begun");
    let phone = Phone::scan(&begun);
    let confirmed = confirm(house, &token, &phone.code(house))
        .await
        .expect("confirmed");
    next_step(house);
    Enrolled {
        user,
        phone,
        recovery_codes: confirmed.recovery_codes,
        tokens: confirmed.tokens.expect("tokens"),
    }
}

/// Logs in with a code sent along.
pub(crate) async fn login_with(
    house: &House,
    username: &str,
    code: &str,
) -> Result<pb::TokenResponse, Status> {
    let request = pb::LoginRequest {
        totp_code: code.to_owned(),
        ..login(username, PASSWORD)
    };
    house
        .auth
        .clone()
        .login(request)
        .await
        .map(Response::into_inner)
}

/// The first step of a login: its `mfa_token`.
pub(crate) async fn first_step(house: &House, username: &str) -> String {
    let half = house.login(username).await;
    assert_eq!(
        (half.status.as_str(), half.mfa_required),
        ("mfa_required", true)
    );
    let nothing = [&half.token, &half.access_token, &half.refresh_token];
    assert!(nothing.into_iter().all(String::is_empty), "{half:?}");
    assert_eq!((half.session_id.as_str(), half.expires_in), ("", 0));
    half.mfa_token
}

/// The second step.
pub(crate) async fn complete(
    house: &House,
    mfa_token: &str,
    code: &str,
) -> Result<pb::TokenResponse, Status> {
    let request = pb::CompleteLoginRequest {
        mfa_token: mfa_token.to_owned(),
        code: code.to_owned(),
    };
    house
        .auth
        .clone()
        .complete_login(request)
        .await
        .map(Response::into_inner)
}

/// What a refused call must leave as it was, the second factors included.
pub(crate) async fn snapshot(house: &House) -> Vec<String> {
    const FACTORS: &str = "SELECT user_id || '|' || begin_time || '|' || coalesce(confirm_time, 0) || '|' || last_step \
        FROM second_factors ORDER BY user_id";
    const CODES: &str =
        "SELECT CAST(user_id AS TEXT) FROM recovery_codes ORDER BY user_id, code_hash";
    let mut lines = house.snapshot().await;
    for sql in [FACTORS, CODES] {
        let rows: Vec<String> =
            millgate_platform::on!(house.db, |c| sqlx::query_scalar(sql).fetch_all(c).await)
                .expect("rows");
        lines.extend(rows);
    }
    lines
}
