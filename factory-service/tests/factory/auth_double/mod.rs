//! An auth service that can be broken at every point. It keeps users as the real one promises to, as far as the factory
//! depends on it: `request_id` gives the first answer again, `external_id` and email are unique, and only the service
//! account of the factory may make users.

mod logins;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use millgate_contract::auth::v1 as pb;
use millgate_contract::auth::v1::auth_service_server::AuthServiceServer;
use millgate_contract::auth::v1::user_service_server::{UserService, UserServiceServer};
use millgate_guard::testing::Issuer;
use millgate_guard::{Details, ManualClock, SharedRing};
use tokio::net::TcpListener;
use tonic::{Code, Request, Response, Status};

/// What goes wrong at the next calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// Nothing is done, and the answer says nothing.
    Down,
    /// The user is made, and the answer is lost.
    LosesTheAnswer,
    /// The user is made, and there is no answer.
    MakesAndHangs,
    /// Nothing is done, and there is no answer.
    Hangs,
    /// A password that everybody guesses first.
    Blocklisted,
    /// The same, said half a second later.
    BlocklistedLate,
    /// No one may log in.
    Throttled,
    /// Everybody has a second factor, whose code is `123456`.
    WantsACode,
    /// The factory's account lacks a scope.
    ScopeDenied,
}

#[derive(Clone)]
pub(crate) struct AuthDouble {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
    issuer: Arc<Issuer>,
}

struct State {
    trouble: Trouble,
    users: HashMap<i64, User>,
    next_id: i64,
    ended_sessions: Vec<String>,
    clients: Vec<String>,
}

#[derive(Clone)]
struct User {
    email: String,
    password: String,
    external_id: String,
    request_id: String,
    role: &'static str,
}

impl AuthDouble {
    pub(crate) async fn start(ring: &SharedRing, clock: Arc<ManualClock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let double = Self {
            endpoint,
            issuer: Arc::new(Issuer::over(ring.clone(), clock)),
            state: Arc::new(Mutex::new(State {
                trouble: Trouble::None,
                users: HashMap::new(),
                next_id: 100,
                ended_sessions: Vec::new(),
                clients: Vec::new(),
            })),
        };
        let router = tonic::transport::Server::builder()
            .add_service(AuthServiceServer::new(double.clone()))
            .add_service(UserServiceServer::new(double.clone()));
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        tokio::spawn(router.serve_with_incoming(incoming));
        double
    }

    pub(crate) fn has(&self, trouble: Trouble) {
        self.state().trouble = trouble;
    }

    pub(crate) fn users(&self) -> usize {
        self.state().users.len()
    }

    pub(crate) fn has_user(&self, id: i64) -> bool {
        self.state().users.contains_key(&id)
    }

    pub(crate) fn ended_sessions(&self) -> Vec<String> {
        self.state().ended_sessions.clone()
    }

    /// The `x-forwarded-for` of every login.
    pub(crate) fn clients(&self) -> Vec<String> {
        self.state().clients.clone()
    }

    /// A user that the factory knows nothing of.
    pub(crate) fn add(&self, email: &str, password: &str, role: &'static str) -> i64 {
        self.state().add(User {
            email: email.to_owned(),
            password: password.to_owned(),
            external_id: String::new(),
            request_id: String::new(),
            role,
        })
    }

    /// An admin gives a user another role.
    pub(crate) fn set_role(&self, id: i64, role: &'static str) {
        let mut state = self.state();
        state.users.get_mut(&id).expect("a user").role = role;
    }

    /// A request for a user that was long under way arrives.
    pub(crate) fn add_late(&self, external_id: &str) -> i64 {
        self.state().add(User {
            email: "late@example.com".to_owned(),
            password: String::new(),
            external_id: external_id.to_owned(),
            request_id: external_id.to_owned(),
            role: "customer",
        })
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    fn check_service(&self, metadata: &tonic::metadata::MetadataMap) -> Result<(), Status> {
        let token = metadata
            .get("authorization")
            .and_then(|entry| entry.to_str().ok()?.strip_prefix("Bearer "));
        let claims = token.and_then(|token| self.issuer.verifier().verify(token).ok());
        match claims {
            Some(claims) if claims.subject == "factory-service" => Ok(()),
            _ => Err(fault(Code::Unauthenticated, "TOKEN_INVALID")),
        }
    }
}

impl State {
    fn add(&mut self, user: User) -> i64 {
        self.next_id += 1;
        self.users.insert(self.next_id, user);
        self.next_id
    }
}

fn fault(code: Code, reason: &str) -> Status {
    millgate_guard::status(code, reason, reason, Details::none())
}

fn field_fault(code: Code, reason: &str, field: &str) -> Status {
    millgate_guard::status(
        code,
        reason,
        reason,
        Details::none().field(field, reason, "is not good"),
    )
}

async fn for_ever() -> Status {
    tokio::time::sleep(Duration::from_secs(3600)).await;
    Status::unavailable("woke up")
}

fn message(id: i64, user: &User) -> pb::User {
    pb::User {
        id,
        email: user.email.clone(),
        external_id: user.external_id.clone(),
        role: pb::Role::Customer.into(),
        ..Default::default()
    }
}

#[tonic::async_trait]
impl UserService for AuthDouble {
    async fn create_user(
        &self,
        request: Request<pb::CreateUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        self.check_service(request.metadata())?;
        let request = request.into_inner();
        let asked = request.user.expect("a user");
        assert_eq!(
            asked.role,
            i32::from(pb::Role::Customer),
            "the factory makes customers only"
        );
        let trouble = self.state().trouble;
        match trouble {
            Trouble::Down => return Err(Status::unavailable("down")),
            Trouble::Hangs => return Err(for_ever().await),
            Trouble::BlocklistedLate => tokio::time::sleep(Duration::from_millis(500)).await,
            Trouble::Blocklisted => {
                return Err(field_fault(
                    Code::InvalidArgument,
                    "PASSWORD_BLOCKLISTED",
                    "password",
                ));
            }
            _ => {}
        }
        if trouble == Trouble::BlocklistedLate {
            let (code, reason) = (Code::InvalidArgument, "PASSWORD_BLOCKLISTED");
            return Err(field_fault(code, reason, "password"));
        }
        let made = {
            let mut state = self.state();
            let again = state
                .users
                .iter()
                .find(|(_, user)| user.request_id == request.request_id);
            if let Some((id, user)) = again {
                message(*id, user)
            } else if state
                .users
                .values()
                .any(|user| user.email.eq_ignore_ascii_case(&asked.email))
            {
                return Err(field_fault(
                    Code::AlreadyExists,
                    "EMAIL_TAKEN",
                    "user.email",
                ));
            } else {
                let user = User {
                    email: asked.email,
                    password: request.password,
                    external_id: asked.external_id,
                    request_id: request.request_id,
                    role: "customer",
                };
                let id = state.add(user.clone());
                message(id, &user)
            }
        };
        match trouble {
            Trouble::LosesTheAnswer => Err(Status::unavailable("connection reset")),
            Trouble::MakesAndHangs => Err(for_ever().await),
            _ => Ok(Response::new(made)),
        }
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        self.check_service(request.metadata())?;
        let request = request.into_inner();
        let state = self.state();
        if state.trouble == Trouble::Down {
            return Err(Status::unavailable("down"));
        }
        let found = state
            .users
            .iter()
            .filter(|(_, user)| user.external_id == request.external_id);
        let users = found.map(|(id, user)| message(*id, user)).collect();
        Ok(Response::new(pb::ListUsersResponse {
            users,
            next_page_token: String::new(),
        }))
    }

    async fn delete_user(
        &self,
        request: Request<pb::DeleteUserRequest>,
    ) -> Result<Response<pb::DeleteUserResponse>, Status> {
        self.check_service(request.metadata())?;
        let mut state = self.state();
        if state.trouble == Trouble::Down {
            return Err(Status::unavailable("down"));
        }
        if state.trouble == Trouble::ScopeDenied {
            return Err(fault(Code::PermissionDenied, "SCOPE_DENIED"));
        }
        let id = request.into_inner().id;
        if state
            .users
            .get(&id)
            .is_some_and(|user| user.role != "customer")
        {
            return Err(fault(Code::PermissionDenied, "ROLE_DENIED"));
        }
        match state.users.remove(&id) {
            Some(_) => Ok(Response::new(pb::DeleteUserResponse {
                message: "User deleted.".to_owned(),
            })),
            None => Err(fault(Code::NotFound, "USER_NOT_FOUND")),
        }
    }

    async fn get_user(&self, _: Request<pb::GetUserRequest>) -> Result<Response<pb::User>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn update_user(
        &self,
        _: Request<pb::UpdateUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn set_user_role(
        &self,
        _: Request<pb::SetUserRoleRequest>,
    ) -> Result<Response<pb::User>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn disable_user(
        &self,
        _: Request<pb::DisableUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn enable_user(
        &self,
        _: Request<pb::EnableUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn unlock_user(
        &self,
        _: Request<pb::UnlockUserRequest>,
    ) -> Result<Response<pb::User>, Status> {
        Err(Status::unimplemented("not needed"))
    }

    async fn import_users(
        &self,
        _: Request<tonic::Streaming<pb::ImportUsersRequest>>,
    ) -> Result<Response<pb::ImportUsersResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}
