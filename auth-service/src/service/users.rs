//! UserService.

use std::sync::Arc;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::user_service_server::UserService;
use millgate_guard::Caller;
use millgate_platform::{Binding, Fault, FieldFault, Fields, Mask, Page, PageRequest, Reason};
use tonic::{Request, Response, Status, Streaming};

use super::{Known, import, sign_in};
use crate::actions::accounts::{self, Wanted};
use crate::actions::import::Import;
use crate::actions::suspension;
use crate::app::App;
use crate::domain::{Email, ExternalId, NameChange, Role, UserState, Username};
use crate::store::user_list::{Filter, Order};
use crate::wire;

/// The handlers over what they share.
pub(super) struct Users(pub(super) Arc<App>);

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<pb::CreateUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let wanted = wanted(&message)?;
        Ok(Response::new(
            accounts::create(&self.0, &caller, wanted, message, &origin).await?,
        ))
    }

    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        let Known {
            caller, message, ..
        } = Known::of(request)?;
        let id = id("id", message.id)?;
        let user = accounts::get(&self.0, &caller, id).await?;
        Ok(Response::new(wire::user(&user)))
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        let Known {
            caller, message, ..
        } = Known::of(request)?;
        let Listing {
            role,
            state,
            external_id,
            username,
            email,
            order,
            page,
        } = self.listing(&caller, &message)?;
        let external_id = external_id.as_ref().map(ExternalId::as_str);
        let filter = Filter {
            role,
            state,
            external_id,
            username: username.as_ref(),
            email: email.as_ref(),
            created_by: None,
        };
        let (users, next_page_token) =
            accounts::list(&self.0, &caller, filter, order, &page).await?;
        Ok(Response::new(pb::ListUsersResponse {
            users: users.iter().map(wire::user).collect(),
            next_page_token,
        }))
    }

    async fn update_user(
        &self,
        request: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let (user, change) = update(message)?;
        let user =
            accounts::rename(&self.0, &caller, user.id, &change, &user.etag, &origin).await?;
        Ok(Response::new(wire::user(&user)))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let id = id("id", message.id)?;
        accounts::delete(&self.0, &caller, id, &message.etag, &origin).await?;
        Ok(Response::new(pb::DeleteUserResponse {
            message: "User deleted.".to_owned(),
        }))
    }

    async fn set_user_role(
        &self,
        request: Request<pb::SetUserRoleRequest>,
    ) -> Result<Response<pb::User>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let mut fields = Fields::of_request(&message.request_id);
        let id = fields.parse("id", wire::id(message.id));
        let role = fields.parse("role", wire::role(message.role));
        let (_, role) = fields.all((id, role))?;
        Ok(Response::new(
            accounts::set_role(&self.0, &caller, role, message, &origin).await?,
        ))
    }

    async fn disable_user(
        &self,
        request: Request<pb::DisableUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        which(message.id, &message.request_id)?;
        Ok(Response::new(
            suspension::disable(&self.0, &caller, message, &origin).await?,
        ))
    }

    async fn enable_user(
        &self,
        request: Request<pb::EnableUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        which(message.id, &message.request_id)?;
        Ok(Response::new(
            suspension::enable(&self.0, &caller, message, &origin).await?,
        ))
    }

    async fn unlock_user(
        &self,
        request: Request<pb::UnlockUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        which(message.id, &message.request_id)?;
        Ok(Response::new(
            suspension::unlock(&self.0, &caller, message, &origin).await?,
        ))
    }

    async fn import_users(
        &self,
        request: Request<Streaming<pb::ImportUsersRequest>>,
    ) -> Result<Response<pb::ImportUsersResponse>, Status> {
        let Known {
            caller,
            message: mut stream,
            origin,
        } = Known::of(request)?;
        let options = import::options(&mut stream).await?;
        let mut import = Import::begin(&self.0, &caller, options, &origin).await?;
        import::rows(&self.0, &mut import, &mut stream).await?;
        Ok(Response::new(import.finish(&self.0).await?))
    }
}

/// The account of a transition.
fn which(number: i64, request_id: &str) -> Result<(), Fault> {
    let mut fields = Fields::of_request(request_id);
    fields.parse("id", wire::id(number));
    fields.finish()
}

fn id(field: &str, number: i64) -> Result<i64, Fault> {
    let mut fields = Fields::new();
    let id = fields.parse(field, wire::id(number));
    fields.all((id,)).map(|(id,)| id)
}

fn wanted(message: &pb::CreateUserRequest) -> Result<Wanted, Fault> {
    let mut fields = Fields::of_request(&message.request_id);
    let Some(user) = &message.user else {
        sign_in::new_password(&mut fields, &message.password, None);
        fields.refuse("user", "is needed");
        return Err(fields
            .finish()
            .err()
            .unwrap_or_else(|| Fault::field("user", "is needed")));
    };
    let not_writable = || FieldFault::new(Reason::FieldNotWritable, "this field cannot be written");
    for (field, written) in [
        ("user.id", user.id != 0),
        ("user.state", user.state != 0),
        ("user.etag", !user.etag.is_empty()),
        ("user.create_time", user.create_time.is_some()),
        ("user.update_time", user.update_time.is_some()),
        ("user.last_login_time", user.last_login_time.is_some()),
    ] {
        fields.check(field, !written, not_writable());
    }
    let names = sign_in::names(&mut fields, "user.", &user.username, &user.email);
    let password = sign_in::new_password(&mut fields, &message.password, names.as_ref());
    let role = fields.parse("user.role", wire::role(user.role));
    let external_id = fields.parse("user.external_id", ExternalId::parse(&user.external_id));
    let (names, password, role, external_id) = fields.all((names, password, role, external_id))?;
    Ok(Wanted {
        names,
        password,
        role,
        external_id,
    })
}

/// The fields of a user, and those of them that an update may write.
const KNOWN: &[&str] = &[
    "id",
    "username",
    "email",
    "role",
    "state",
    "external_id",
    "etag",
    "create_time",
    "update_time",
    "last_login_time",
];
const WRITABLE: &[&str] = &["username", "email"];

fn update(message: pb::UpdateUserRequest) -> Result<(pb::User, NameChange), Fault> {
    let user = message
        .user
        .ok_or_else(|| Fault::field("user", "is needed"))?;
    let mut set = Vec::new();
    if !user.username.is_empty() {
        set.push("username");
    }
    if !user.email.is_empty() {
        set.push("email");
    }
    let mask = Mask::resolve(message.update_mask.as_ref(), KNOWN, WRITABLE, &set)?;
    let mut fields = Fields::new();
    let id = fields.parse("user.id", wire::id(user.id));
    let mut change = NameChange::default();
    if mask.has("username") {
        change.username = fields.parse(
            "user.username",
            wire::optional(&user.username, Username::parse_new),
        );
    }
    if mask.has("email") {
        change.email = fields.parse("user.email", wire::optional(&user.email, Email::parse));
    }
    fields.all((id,))?;
    Ok((user, change))
}

/// What a list is asked for.
struct Listing {
    role: Option<Role>,
    state: Option<UserState>,
    external_id: Option<ExternalId>,
    username: Option<Username>,
    email: Option<Email>,
    order: Order,
    page: Page,
}

impl Users {
    fn listing(&self, caller: &Caller, message: &pb::ListUsersRequest) -> Result<Listing, Fault> {
        let mut fields = Fields::new();
        let role = fields.parse("role", wire::optional_role(message.role));
        let state = fields.parse("state", wire::optional_state(message.state));
        let order = fields.parse("order_by", order(&message.order_by));
        let external_id = fields.parse("external_id", ExternalId::parse(&message.external_id));
        let username = fields.parse(
            "username",
            wire::optional(&message.username, Username::parse),
        );
        let email = fields.parse("email", wire::optional(&message.email, Email::parse));
        let (role, state, order, external_id, username, email) =
            fields.all((role, state, order, external_id, username, email))?;
        let binding = Binding::new(&caller.key())
            .with("role", message.role)
            .with("state", message.state)
            .with("external_id", &message.external_id)
            .with("username", &message.username)
            .with("email", &message.email)
            .with("order_by", &message.order_by);
        let page = PageRequest::parse(
            message.page_size,
            &message.page_token,
            binding,
            &self.0.page_key,
        )?;
        Ok(Listing {
            role,
            state,
            external_id,
            username,
            email,
            order,
            page,
        })
    }
}

fn order(text: &str) -> Result<Order, &'static str> {
    match text {
        "" | "id" => Ok(Order::Id),
        "id desc" => Ok(Order::IdDescending),
        "username" => Ok(Order::Username),
        "username desc" => Ok(Order::UsernameDescending),
        _ => Err("`id` or `username`, each with ` desc` for the other way round"),
    }
}
