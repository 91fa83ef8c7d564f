//! TrustService.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::trust_service_server::TrustService;
use millgate_guard::{Refusal, StreamToken};
use millgate_platform::Fields;
use tonic::{Request, Response, Status, Streaming};

use super::{Known, Visitor};
use crate::actions::keys;
use crate::app::App;
use crate::trust::connection;
use crate::wire::trust as wire;

/// The handlers over what they share.
pub(super) struct Trust(pub(super) Arc<App>);

#[tonic::async_trait]
impl TrustService for Trust {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<pb::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let token = request.extensions().get::<StreamToken>().cloned();
        let token = token.ok_or(Refusal::PolicyMissing)?;
        let Known {
            caller, message, ..
        } = Known::of(request)?;
        let mut answers = connection::open(&self.0, &caller, token, message).await?;
        let answers = futures::stream::poll_fn(move |context| answers.poll_recv(context));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn list_keys(
        &self,
        request: Request<pb::ListKeysRequest>,
    ) -> Result<Response<pb::ListKeysResponse>, Status> {
        let Known { .. } = Known::of(request)?;
        Ok(Response::new(keys::list(&self.0).await?))
    }

    async fn rotate_key(
        &self,
        request: Request<pb::RotateKeyRequest>,
    ) -> Result<Response<pb::Key>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let mut fields = Fields::new();
        let algorithm = fields.parse("algorithm", wire::algorithm(message.algorithm));
        let (algorithm,) = fields.all((algorithm,))?;
        Ok(Response::new(
            keys::rotate(&self.0, &caller, algorithm, &origin).await?,
        ))
    }

    async fn retire_key(
        &self,
        request: Request<pb::RetireKeyRequest>,
    ) -> Result<Response<pb::RetireKeyResponse>, Status> {
        let Known {
            caller,
            message,
            origin,
        } = Known::of(request)?;
        let mut fields = Fields::new();
        let key_id = fields.parse("key_id", wire::key_id(&message.key_id));
        let (key_id,) = fields.all((key_id,))?;
        keys::retire(&self.0, &caller, key_id, message.force, &origin).await?;
        Ok(Response::new(pb::RetireKeyResponse {}))
    }

    async fn get_jwks(
        &self,
        request: Request<pb::GetJwksRequest>,
    ) -> Result<Response<pb::JwkSet>, Status> {
        let Visitor { .. } = Visitor::of(request)?;
        Ok(Response::new(keys::public(&self.0)?))
    }
}
