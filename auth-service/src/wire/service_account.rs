//! Service accounts between the contract and the domain.

use std::time::Duration;

use millgate_contract::auth::v1 as pb;
use millgate_platform::{Etag, FieldFault};

use super::timestamp;
use crate::domain::{LiveSecret, ServiceAccount};

/// A service account as it goes out; nothing here can make its secret again.
pub(crate) fn service_account(account: &ServiceAccount) -> pb::ServiceAccount {
    let state = if account.disabled {
        pb::ServiceAccountState::Disabled
    } else {
        pb::ServiceAccountState::Active
    };
    let secret = |secret: &LiveSecret| pb::ServiceAccountSecret {
        create_time: Some(timestamp(secret.create_time)),
        expire_time: secret.expire_time.map(timestamp),
        last_used_time: secret.last_used_time.map(timestamp),
    };
    pb::ServiceAccount {
        client_id: account.client_id.clone(),
        description: account.description.clone(),
        scopes: account.scopes.iter().map(str::to_owned).collect(),
        state: state.into(),
        etag: Etag::of(account.revision),
        create_time: Some(timestamp(account.create_time)),
        update_time: Some(timestamp(account.update_time)),
        last_used_time: account.last_used_time.map(timestamp),
        secrets: account.secrets.iter().map(secret).collect(),
        client_secret: String::new(),
    }
}

/// Whether only disabled accounts, or only others, are wanted.
pub(crate) fn disabled(state: i32) -> Result<Option<bool>, FieldFault> {
    match pb::ServiceAccountState::try_from(state) {
        Ok(pb::ServiceAccountState::Unspecified) => Ok(None),
        Ok(pb::ServiceAccountState::Active) => Ok(Some(false)),
        Ok(pb::ServiceAccountState::Disabled) => Ok(Some(true)),
        Err(_) => Err("is not a state of a service account".into()),
    }
}

/// A length of time that may be left out.
pub(crate) fn duration(
    sent: Option<&prost_types::Duration>,
) -> Result<Option<Duration>, FieldFault> {
    sent.map(|sent| Duration::try_from(*sent))
        .transpose()
        .map_err(|_| "must not be negative or out of range".into())
}
