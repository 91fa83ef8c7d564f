//! CustomerService.

use millgate_contract::auth::v1 as auth_pb;
use millgate_contract::factory::v1 as pb;
use millgate_contract::factory::v1::customer_service_server::CustomerService;
use millgate_guard::{Admitted, Anyone};
use millgate_platform::{Cursor, Fault, Fields, Reason};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::convert::{customer as message_of, id};
use super::customer_fields::{Change, parse_new, parse_registration};
use super::log::Seen;
use super::paging::fitting;
use super::{Answer, Begun, Factory, Shared, Who};
use crate::domain::access::{Owner, Sight};
use crate::domain::customer::{Customer, not_found};
use crate::domain::paging::OrderBy;
use crate::domain::text::Prefix;
use crate::store::customer::{self as store, Filter, Intent};
use crate::store::{email, order, registration, remembered, ticket};

/// The customers, and their own way in.
pub(crate) struct Customers(pub(crate) Shared);

#[tonic::async_trait]
impl CustomerService for Customers {
    async fn register_customer(
        &self,
        request: Request<pb::RegisterCustomerRequest>,
    ) -> Answer<pb::RegisterCustomerResponse> {
        let Anyone { mut message, .. } = Anyone::of(request)?;
        let request_id = std::mem::take(&mut message.request_id);
        let asked = parse_registration(&message, &request_id, |body| {
            self.0.registrar.body_hash(body)
        })?;
        Ok(Response::new(
            self.0.registrar.register(&asked, &message.password).await?,
        ))
    }

    async fn login_customer(
        &self,
        request: Request<pb::LoginCustomerRequest>,
    ) -> Answer<pb::LoginCustomerResponse> {
        let Anyone { message, .. } = Anyone::of(request)?;
        let tokens = self.0.registrar.auth.login(auth_pb::LoginRequest {
            email: message.email,
            password: message.password,
            device_label: message.device_label,
            totp_code: message.totp_code,
            ..auth_pb::LoginRequest::default()
        });
        let tokens = tokens.await?;
        if tokens.mfa_required {
            return Ok(Response::new(code_wanted(tokens)));
        }
        match self.0.profile_of(&tokens).await {
            Ok(profile) => Ok(Response::new(logged_in(tokens, &profile))),
            Err(status) => {
                // Nobody gets these tokens, so nobody shall have the session either.
                if let Err(error) = self.0.registrar.auth.logout(tokens.refresh_token).await {
                    tracing::warn!(code = ?error.code(), "the session of a refused login could not be ended");
                }
                Err(status)
            }
        }
    }

    async fn create_customer(
        &self,
        request: Request<pb::CreateCustomerRequest>,
    ) -> Answer<pb::Customer> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let who = Who::of(caller);
        let fields = parse_new(&message)?;
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&who.caller, "CreateCustomer", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let customer = store::insert(&mut work.tx, &fields, None, work.now).await?;
        email::take(
            &mut work.tx,
            &fields.email,
            email::Holder::Customer(customer.id),
            "customer.email",
        )
        .await?;
        work.created(Seen::Customer(&customer)).await?;
        Ok(Response::new(
            work.done(message_of(&customer, who.sight)).await?,
        ))
    }

    async fn get_customer(&self, request: Request<pb::GetCustomerRequest>) -> Answer<pb::Customer> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let (id, sight) = (parse_id(Fields::new(), message.id)?, Sight::of(&caller));
        let customer = store::get(&self.0.db, id, sight)
            .await?
            .ok_or_else(|| not_found(id))?;
        Ok(Response::new(message_of(&customer, sight)))
    }

    async fn list_customers(
        &self,
        request: Request<pb::ListCustomersRequest>,
    ) -> Answer<pb::ListCustomersResponse> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let (size, token) = (
            std::mem::take(&mut message.page_size),
            std::mem::take(&mut message.page_token),
        );
        let page = self
            .0
            .page(&caller, (size, &token), "ListCustomers", &message)?;
        let mut fields = Fields::new();
        let query = fields.parse("query", Prefix::parse(&message.query));
        let by = fields.parse(
            "order_by",
            OrderBy::parse(&message.order_by, &["id", "name"]),
        );
        let (query, by) = fields.all((query, by))?;
        let filter = Filter {
            query,
            show_deleted: message.show_deleted,
        };
        let rows = store::list(&self.0.db, &filter, by, &page).await?;
        let cursor = |customer: &Customer| match by.column {
            "name" => Cursor::text(customer.fields.name.canonical(), customer.id),
            _ => Cursor::id(customer.id),
        };
        let sight = Sight::of(&caller);
        let (customers, next_page_token) =
            fitting(&page, &rows, cursor, |customer| message_of(customer, sight));
        Ok(Response::new(pb::ListCustomersResponse {
            customers,
            next_page_token,
        }))
    }

    async fn update_customer(
        &self,
        request: Request<pb::UpdateCustomerRequest>,
    ) -> Answer<pb::Customer> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let sight = Sight::of(&caller);
        let change = Change::parse(message, sight)?;
        let mut work = self.0.open(&caller).await?;
        let before = store::lock(&mut work.tx, change.id, sight, Intent::Change).await?;
        let before = before.ok_or_else(|| not_found(change.id))?;
        let mut customer = before.clone();
        change.apply(&mut customer, work.now)?;
        if customer.fields.email.canonical() != before.fields.email.canonical() {
            email::change(
                &mut work.tx,
                customer.id,
                &customer.fields.email,
                "customer.email",
            )
            .await?;
        }
        store::save(&mut work.tx, &customer).await?;
        let (before, after) = (Seen::Customer(&before), Seen::Customer(&customer));
        work.changed("update", before, after).await?;
        Ok(Response::new(
            work.done(message_of(&customer, sight)).await?,
        ))
    }

    async fn delete_customer(
        &self,
        request: Request<pb::DeleteCustomerRequest>,
    ) -> Answer<pb::DeleteCustomerResponse> {
        let Admitted {
            caller, message, ..
        } = Admitted::of(request)?;
        let (id, sight) = (parse_id(Fields::new(), message.id)?, Sight::of(&caller));
        let mut work = self.0.open(&caller).await?;
        let before = store::lock(&mut work.tx, id, sight, Intent::End).await?;
        let before = before.ok_or_else(|| not_found(id))?;
        let mut customer = before.clone();
        let open = store::open(&mut work.tx, id).await?;
        let user = customer.delete(open.orders, &message.etag, work.now)?;
        self.0.end(&mut work.tx, &customer, user).await?;
        let (before, after) = (Seen::Customer(&before), Seen::Customer(&customer));
        work.changed("delete", before, after).await?;
        let answer = pb::DeleteCustomerResponse {
            message: "Customer deleted.".to_owned(),
            customer: Some(message_of(&customer, sight)),
        };
        let answer = work.done(answer).await?;
        self.0.end_login(user).await;
        Ok(Response::new(answer))
    }

    async fn undelete_customer(
        &self,
        request: Request<pb::UndeleteCustomerRequest>,
    ) -> Answer<pb::Customer> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let id = parse_id(Fields::of_request(&message.request_id), message.id)?;
        let sight = Sight::of(&caller);
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&caller, "UndeleteCustomer", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let before = store::lock(&mut work.tx, id, sight, Intent::Change).await?;
        let before = before.ok_or_else(|| not_found(id))?;
        let mut customer = before.clone();
        customer.undelete(&message.etag, work.now)?;
        email::take(
            &mut work.tx,
            &customer.fields.email,
            email::Holder::Customer(id),
            "email",
        )
        .await?;
        store::save(&mut work.tx, &customer).await?;
        let (before, after) = (Seen::Customer(&before), Seen::Customer(&customer));
        work.changed("undelete", before, after).await?;
        Ok(Response::new(
            work.done(message_of(&customer, sight)).await?,
        ))
    }

    async fn erase_customer(
        &self,
        request: Request<pb::EraseCustomerRequest>,
    ) -> Answer<pb::Customer> {
        let Admitted {
            caller,
            mut message,
            ..
        } = Admitted::of(request)?;
        let id = parse_id(Fields::of_request(&message.request_id), message.id)?;
        let sight = Sight::of(&caller);
        let request_id = std::mem::take(&mut message.request_id);
        let mut work = match self
            .0
            .begin(&caller, "EraseCustomer", &request_id, &message)
            .await?
        {
            Begun::Answered(answer) => return Ok(Response::new(answer)),
            Begun::Work(work) => work,
        };
        let customer = store::lock(&mut work.tx, id, sight, Intent::End).await?;
        let mut customer = customer.ok_or_else(|| not_found(id))?;
        let user = customer.erase(
            store::open(&mut work.tx, id).await?,
            &message.etag,
            work.now,
        )?;
        registration::forget(&mut work.tx, id).await?;
        self.0.end(&mut work.tx, &customer, user).await?;
        ticket::erase(&mut work.tx, id, work.now).await?;
        order::erase(&mut work.tx, id, work.now).await?;
        let erased = message_of(&customer, sight);
        remembered::replace(&mut work.tx, id, |method, answer| {
            without_their_data(method, answer, &erased)
        })
        .await?;
        work.erased(&customer).await?;
        let answer = work.done(erased).await?;
        self.0.end_login(user).await;
        Ok(Response::new(answer))
    }

    async fn get_my_profile(
        &self,
        request: Request<pb::GetMyProfileRequest>,
    ) -> Answer<pb::Customer> {
        let Admitted { caller, .. } = Admitted::of(request)?;
        let owner = Owner::of_caller(&caller)?;
        let profile = match owner {
            Owner::User(user_id) => store::by_user(&self.0.db, user_id).await?,
            Owner::Customer(_) => None,
        };
        let profile = profile.ok_or_else(|| owner.not_found())?;
        Ok(Response::new(message_of(&profile, Sight::of(&caller))))
    }
}

impl Factory {
    /// The profile that belongs to fresh tokens.
    ///
    /// A login that is not a customer's, or that has no profile (any more), is answered as wrong credentials: at this
    /// door they are. Its owner has shown the password, so the text may say so.
    async fn profile_of(&self, tokens: &auth_pb::TokenResponse) -> Result<Customer, Status> {
        let claims = self
            .verifier
            .verify(&tokens.access_token)
            .map_err(|fault| {
                tracing::error!(
                    cause = fault.cause(),
                    "the auth service gave a token that does not verify here"
                );
                crate::auth::unavailable()
            })?;
        let user_id = claims
            .subject
            .parse()
            .ok()
            .filter(|_| claims.role.as_deref() == Some("customer"));
        let profile = match user_id {
            Some(user_id) => store::by_user(&self.db, user_id).await?,
            None => None,
        };
        let refused = || {
            Fault::new(
                Reason::CredentialsInvalid,
                "this login does not belong to a customer",
            )
        };
        Ok(profile.ok_or_else(refused)?)
    }

    /// Writes the end of a profile: its address is free again, its login is to end.
    async fn end(
        &self,
        tx: &mut millgate_platform::Tx,
        customer: &Customer,
        user: Option<i64>,
    ) -> Result<(), Fault> {
        email::release(tx, email::Holder::Customer(customer.id)).await?;
        store::save(tx, customer).await?;
        match user {
            Some(user_id) => {
                self.registrar
                    .plan_end(tx, user_id, customer.update_time)
                    .await
            }
            None => Ok(()),
        }
    }

    async fn end_login(&self, user: Option<i64>) {
        if let Some(user_id) = user {
            self.registrar.end_login(user_id).await;
        }
    }
}

/// A remembered answer without the personal data of an erased customer; `None` when there is none of theirs in it.
fn without_their_data(method: &str, answer: &[u8], erased: &pb::Customer) -> Option<Vec<u8>> {
    match method {
        "CreateCustomer" | "UndeleteCustomer" => {
            let old = pb::Customer::decode(answer).ok()?;
            (old.id == erased.id).then(|| erased.encode_to_vec())
        }
        "OpenTicket" | "AssignMechanic" | "StartTicket" | "AddPart" | "CloseTicket"
        | "CancelTicket" => {
            let mut old = pb::ServiceTicket::decode(answer).ok()?;
            old.description.clear();
            old.resolution.clear();
            (old.customer_id == erased.id).then(|| old.encode_to_vec())
        }
        _ => {
            let mut old = pb::Order::decode(answer).ok()?;
            old.cancel_reason.clear();
            old.notes.clear();
            old.shipping_address.clear();
            (old.customer_id == erased.id).then(|| old.encode_to_vec())
        }
    }
}

fn parse_id(mut fields: Fields, asked: i64) -> Result<i64, Fault> {
    let id = fields.parse("id", id(asked));
    let (id,) = fields.all((id,))?;
    Ok(id)
}

fn logged_in(tokens: auth_pb::TokenResponse, profile: &Customer) -> pb::LoginCustomerResponse {
    let sight = Sight::Own {
        user_id: profile.user_id.unwrap_or_default(),
    };
    pb::LoginCustomerResponse {
        status: "success".to_owned(),
        message: "Login successful".to_owned(),
        token: tokens.access_token.clone(),
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        token_type: tokens.token_type,
        expires_in: tokens.expires_in,
        session_id: tokens.session_id,
        customer: Some(message_of(profile, sight)),
        ..pb::LoginCustomerResponse::default()
    }
}

/// Half a login: nobody has tokens yet, so whose profile it is stays open.
fn code_wanted(half: auth_pb::TokenResponse) -> pb::LoginCustomerResponse {
    pb::LoginCustomerResponse {
        status: half.status,
        message: half.message,
        mfa_required: true,
        mfa_token: half.mfa_token,
        ..pb::LoginCustomerResponse::default()
    }
}
