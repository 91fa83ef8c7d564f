//! SessionService.

use std::sync::Arc;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::session_service_server::SessionService;
use millgate_guard::Caller;
use millgate_platform::{Binding, Fault, Fields, Page, PageRequest};
use tonic::{Request, Response, Status};

use super::Known;
use crate::actions::sessions;
use crate::app::App;
use crate::domain::{ListedSession, SessionLimits};
use crate::store::session_list::Order;
use crate::wire;

/// The handlers over what they share.
pub(super) struct Sessions(pub(super) Arc<App>);

#[tonic::async_trait]
impl SessionService for Sessions {
    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let Known {
            caller, message, ..
        } = Known::of(request)?;
        let (user, order, page) = self.listing(&caller, &message)?;
        let (listed, next_page_token) =
            sessions::list(&self.0, &caller, user, message.include_ended, order, &page).await?;
        let current = caller.session().unwrap_or_default();
        let shown = listed
            .into_iter()
            .map(|listed| session(listed, current, self.0.sessions));
        Ok(Response::new(pb::ListSessionsResponse {
            sessions: shown.collect(),
            next_page_token,
        }))
    }

    async fn revoke_session(
        &self,
        request: Request<pb::RevokeSessionRequest>,
    ) -> Result<Response<pb::RevokeSessionResponse>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let id = session_id(&message.id)?;
        sessions::revoke(&self.0, &caller, &id, &origin).await?;
        Ok(Response::new(pb::RevokeSessionResponse {
            message: "Session ended.".to_owned(),
        }))
    }
}

/// Ids are UUIDs in lower case; one in upper case is the same.
fn session_id(text: &str) -> Result<String, Fault> {
    uuid::Uuid::try_parse(text)
        .map(|id| id.to_string())
        .map_err(|_| Fault::field("id", "is not the id of a session: a UUID"))
}

impl Sessions {
    fn listing(
        &self,
        caller: &Caller,
        message: &pb::ListSessionsRequest,
    ) -> Result<(Option<i64>, Order, Page), Fault> {
        let mut fields = Fields::new();
        let user = match message.user_id {
            0 => Some(None),
            id => fields.parse("user_id", wire::id(id)).map(Some),
        };
        let order = fields.parse("order_by", order(&message.order_by));
        let (user, order) = fields.all((user, order))?;
        let binding = Binding::new(&caller.key())
            .with("user_id", message.user_id)
            .with("include_ended", message.include_ended)
            .with("order_by", &message.order_by);
        let page = PageRequest::parse(
            message.page_size,
            &message.page_token,
            binding,
            &self.0.page_key,
        )?;
        Ok((user, order, page))
    }
}

fn order(text: &str) -> Result<Order, &'static str> {
    match text {
        "create_time" => Ok(Order::Created),
        "" | "create_time desc" => Ok(Order::CreatedDescending),
        _ => Err("`create_time desc` or `create_time`"),
    }
}

fn session(listed: ListedSession, current: &str, limits: SessionLimits) -> pb::Session {
    let ListedSession {
        session,
        device_label,
        address,
        user_agent,
        end_reason,
    } = listed;
    let methods = session.amr.split(' ').filter(|method| !method.is_empty());
    pb::Session {
        user_id: session.user_id,
        device_label,
        user_agent,
        address,
        amr: methods.map(str::to_owned).collect(),
        current: session.id == current,
        auth_time: Some(wire::timestamp(session.auth_time)),
        create_time: Some(wire::timestamp(session.create_time)),
        last_used_time: Some(wire::timestamp(session.last_used_time)),
        expire_time: Some(wire::timestamp(session.expiry(limits))),
        end_time: session.ended_time.map(wire::timestamp),
        end_reason: end_reason.unwrap_or_default(),
        id: session.id,
    }
}
