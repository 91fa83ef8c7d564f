//! ServiceAccountService.

use std::sync::Arc;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::service_account_service_server::ServiceAccountService;
use millgate_guard::Caller;
use millgate_platform::{Binding, Fault, FieldFault, Fields, Mask, Page, PageRequest, Reason};
use tonic::{Request, Response, Status};

use super::Known;
use crate::actions::service_accounts;
use crate::app::App;
use crate::domain::{
    ClientId, KnownScopes, NewServiceAccount, Overlap, ServiceAccountChange, words,
};
use crate::store::service_accounts::Order;
use crate::wire;

/// The handlers over what they share.
pub(super) struct ServiceAccounts(pub(super) Arc<App>);

#[tonic::async_trait]
impl ServiceAccountService for ServiceAccounts {
    async fn create_service_account(
        &self,
        request: Request<pb::CreateServiceAccountRequest>,
    ) -> Result<Response<pb::ServiceAccount>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let new = wanted(&message, &self.0.known_scopes)?;
        let made = service_accounts::create(&self.0, &caller, &new, message, &origin).await?;
        Ok(Response::new(made))
    }

    async fn get_service_account(
        &self,
        request: Request<pb::GetServiceAccountRequest>,
    ) -> Result<Response<pb::ServiceAccount>, Status> {
        let Known { message, .. } = Known::of(request)?;
        named(Fields::new(), &message.client_id)?;
        let account = service_accounts::get(&self.0, &message.client_id).await?;
        Ok(Response::new(wire::service_account(&account)))
    }

    async fn list_service_accounts(
        &self,
        request: Request<pb::ListServiceAccountsRequest>,
    ) -> Result<Response<pb::ListServiceAccountsResponse>, Status> {
        let Known {
            caller, message, ..
        } = Known::of(request)?;
        let (disabled, order, page) = self.listing(&caller, &message)?;
        let (accounts, next_page_token) =
            service_accounts::list(&self.0, disabled, order, &page).await?;
        Ok(Response::new(pb::ListServiceAccountsResponse {
            service_accounts: accounts.iter().map(wire::service_account).collect(),
            next_page_token,
        }))
    }

    async fn update_service_account(
        &self,
        request: Request<pb::UpdateServiceAccountRequest>,
    ) -> Result<Response<pb::ServiceAccount>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let (sent, change) = update(message, &self.0.known_scopes)?;
        let (id, etag) = (&sent.client_id, &sent.etag);
        let account =
            service_accounts::update(&self.0, &caller, id, &change, etag, &origin).await?;
        Ok(Response::new(wire::service_account(&account)))
    }

    async fn rotate_secret(
        &self,
        request: Request<pb::RotateSecretRequest>,
    ) -> Result<Response<pb::ServiceAccount>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let mut fields = Fields::of_request(&message.request_id);
        let overlap = fields.parse("overlap", overlap(message.overlap.as_ref()));
        named(fields, &message.client_id)?;
        let overlap = overlap.unwrap_or_default();
        let account = service_accounts::rotate(&self.0, &caller, overlap, message, &origin).await?;
        Ok(Response::new(account))
    }

    async fn disable_service_account(
        &self,
        request: Request<pb::DisableServiceAccountRequest>,
    ) -> Result<Response<pb::ServiceAccount>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        named(Fields::of_request(&message.request_id), &message.client_id)?;
        let account = service_accounts::disable(&self.0, &caller, message, &origin).await?;
        Ok(Response::new(account))
    }

    async fn enable_service_account(
        &self,
        request: Request<pb::EnableServiceAccountRequest>,
    ) -> Result<Response<pb::ServiceAccount>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        named(Fields::of_request(&message.request_id), &message.client_id)?;
        let account = service_accounts::enable(&self.0, &caller, message, &origin).await?;
        Ok(Response::new(account))
    }

    async fn delete_service_account(
        &self,
        request: Request<pb::DeleteServiceAccountRequest>,
    ) -> Result<Response<pb::DeleteServiceAccountResponse>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        named(Fields::new(), &message.client_id)?;
        let (id, etag) = (&message.client_id, &message.etag);
        service_accounts::delete(&self.0, &caller, id, etag, &origin).await?;
        Ok(Response::new(pb::DeleteServiceAccountResponse {
            message: "Service account deleted.".to_owned(),
        }))
    }
}

/// Ends the parsing of a request that names an account.
fn named(mut fields: Fields, client_id: &str) -> Result<(), Fault> {
    let client_id = fields.parse("client_id", ClientId::parse(client_id));
    fields.all((client_id,)).map(drop)
}

fn overlap(sent: Option<&prost_types::Duration>) -> Result<Overlap, FieldFault> {
    Overlap::parse(wire::duration(sent)?).map_err(FieldFault::from)
}

fn wanted(
    message: &pb::CreateServiceAccountRequest,
    known: &KnownScopes,
) -> Result<NewServiceAccount, Fault> {
    let mut fields = Fields::of_request(&message.request_id);
    let nothing = pb::ServiceAccount::default();
    let sent = message.service_account.as_ref();
    fields.check("service_account", sent.is_some(), "is needed");
    let sent = sent.unwrap_or(&nothing);
    for (field, written) in [
        ("service_account.state", sent.state != 0),
        ("service_account.etag", !sent.etag.is_empty()),
        ("service_account.create_time", sent.create_time.is_some()),
        ("service_account.update_time", sent.update_time.is_some()),
        (
            "service_account.last_used_time",
            sent.last_used_time.is_some(),
        ),
        ("service_account.secrets", !sent.secrets.is_empty()),
        (
            "service_account.client_secret",
            !sent.client_secret.is_empty(),
        ),
    ] {
        let not_writable =
            FieldFault::new(Reason::FieldNotWritable, "this field cannot be written");
        fields.check(field, !written, not_writable);
    }
    let client_id = fields.parse(
        "service_account.client_id",
        ClientId::parse(&sent.client_id),
    );
    let description = fields.parse(
        "service_account.description",
        description(&sent.description),
    );
    let scopes = known.parse(&mut fields, "service_account.scopes", &sent.scopes);
    let (client_id, description, scopes) = fields.all((client_id, description, scopes))?;
    Ok(NewServiceAccount {
        client_id,
        description,
        scopes,
    })
}

fn description(text: &str) -> Result<String, String> {
    words(text, NewServiceAccount::LONGEST_DESCRIPTION)
}

/// The fields of a service account, and those of them that an update may write.
const KNOWN: &[&str] = &[
    "client_id",
    "description",
    "scopes",
    "state",
    "etag",
    "create_time",
    "update_time",
    "last_used_time",
    "secrets",
    "client_secret",
];
const WRITABLE: &[&str] = &["description", "scopes"];

fn update(
    message: pb::UpdateServiceAccountRequest,
    known: &KnownScopes,
) -> Result<(pb::ServiceAccount, ServiceAccountChange), Fault> {
    let sent = message
        .service_account
        .ok_or_else(|| Fault::field("service_account", "is needed"))?;
    let mut set = Vec::new();
    if !sent.description.is_empty() {
        set.push("description");
    }
    if !sent.scopes.is_empty() {
        set.push("scopes");
    }
    let mask = Mask::resolve(message.update_mask.as_ref(), KNOWN, WRITABLE, &set)?;
    let mut fields = Fields::new();
    let client_id = fields.parse(
        "service_account.client_id",
        ClientId::parse(&sent.client_id),
    );
    let mut change = ServiceAccountChange::default();
    if mask.has("description") {
        change.description = fields.parse(
            "service_account.description",
            description(&sent.description),
        );
    }
    if mask.has("scopes") {
        change.scopes = known.parse(&mut fields, "service_account.scopes", &sent.scopes);
    }
    fields.all((client_id,))?;
    Ok((sent, change))
}

impl ServiceAccounts {
    fn listing(
        &self,
        caller: &Caller,
        message: &pb::ListServiceAccountsRequest,
    ) -> Result<(Option<bool>, Order, Page), Fault> {
        let mut fields = Fields::new();
        let disabled = fields.parse("state", wire::disabled(message.state));
        let order = fields.parse("order_by", order(&message.order_by));
        let (disabled, order) = fields.all((disabled, order))?;
        let binding = Binding::new(&caller.key())
            .with("service accounts", message.state)
            .with("order_by", &message.order_by);
        let (size, token) = (message.page_size, &message.page_token);
        let page = PageRequest::parse(size, token, binding, &self.0.page_key)?;
        Ok((disabled, order, page))
    }
}

fn order(text: &str) -> Result<Order, &'static str> {
    match text {
        "" | "client_id" => Ok(Order::ClientId),
        "client_id desc" => Ok(Order::ClientIdDescending),
        _ => Err("`client_id`, or `client_id desc` for the other way round"),
    }
}
