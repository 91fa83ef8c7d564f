//! The people in the tests, each made the way they would be in life.

use super::{ADMIN_PASSWORD, World, bearing};
use millgate_contract::auth::v1::{CreateUserRequest, LoginRequest, Role, TokenResponse, User};
use millgate_contract::factory::v1::{Customer, LoginCustomerRequest, RegisterCustomerRequest};

/// The password of everybody but the administrator.
pub const PASSWORD: &str = "a long enough one";

/// A registered customer, logged in.
pub struct Shopper {
    pub token: String,
    pub customer: Customer,
}

impl World {
    pub async fn login(
        &self,
        username: &str,
        password: &str,
    ) -> Result<TokenResponse, tonic::Status> {
        let request = LoginRequest {
            username: username.into(),
            password: password.into(),
            ..Default::default()
        };
        Ok(self.auth().login(request).await?.into_inner())
    }

    /// The first administrator's access token.
    pub async fn admin(&self) -> String {
        self.login("admin", ADMIN_PASSWORD)
            .await
            .expect("the administrator logs in")
            .access_token
    }

    /// The access token of a new person of this role, made by the administrator.
    pub async fn person(&self, username: &str, role: Role) -> String {
        let admin = self.admin().await;
        let user = User {
            username: username.into(),
            role: role.into(),
            ..Default::default()
        };
        let request = CreateUserRequest {
            user: Some(user),
            password: PASSWORD.into(),
            ..Default::default()
        };
        self.users()
            .create_user(bearing(&admin, request))
            .await
            .expect("the administrator makes a user");
        self.login(username, PASSWORD)
            .await
            .expect("the new user logs in")
            .access_token
    }

    /// Somebody of the staff.
    pub async fn staff(&self, username: &str) -> String {
        self.person(username, Role::User).await
    }

    /// A customer who registers and logs in at the factory.
    pub async fn shopper(&self, name: &str) -> Shopper {
        let email = format!("{name}@example.com");
        let request = RegisterCustomerRequest {
            first_name: name.into(),
            last_name: "Mill".into(),
            email: email.clone(),
            password: PASSWORD.into(),
            ..Default::default()
        };
        self.customers()
            .register_customer(request)
            .await
            .expect("the customer registers");
        let request = LoginCustomerRequest {
            email,
            password: PASSWORD.into(),
            ..Default::default()
        };
        let answer = self
            .customers()
            .login_customer(request)
            .await
            .expect("the customer logs in")
            .into_inner();
        Shopper {
            token: answer.access_token,
            customer: answer.customer.expect("the profile comes with the login"),
        }
    }
}
