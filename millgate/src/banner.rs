//! What `millgate serve` prints once it is ready.

use std::fmt::Write as _;
use std::net::SocketAddr;

/// Where everything listens.
#[derive(Clone, Copy)]
pub(crate) struct Addresses {
    /// The auth service.
    pub(crate) auth: SocketAddr,
    /// The factory service.
    pub(crate) factory: SocketAddr,
    /// The gateway.
    pub(crate) gateway: SocketAddr,
}

impl Addresses {
    /// The one line of `--ready-file`.
    pub(crate) fn json(&self) -> String {
        let Self {
            auth,
            factory,
            gateway,
        } = self;
        serde_json::json!({ "auth": auth.to_string(), "factory": factory.to_string(), "gateway": gateway.to_string() }).to_string()
    }
}

/// The first administrator, as far as the terminal may know.
pub(crate) struct Admin<'a> {
    /// The user name.
    pub(crate) username: &'a str,
    /// The password, only at the start that generated it.
    pub(crate) password: Option<&'a str>,
}

/// What is said of a generated password, as soon as it counts.
pub(crate) fn first_password(username: &str, password: &str) -> String {
    format!("The first administrator, told only this once: name {username}, password {password}\n")
}

/// Addresses, and three commands that work when pasted. The last line says that it is ready.
pub(crate) fn banner(at: &Addresses, admin: &Admin<'_>, scheme: &str) -> String {
    let mut text = String::new();
    let username = admin.username;
    let _ = writeln!(
        text,
        "gateway   {scheme}://{}   HTTP/JSON, to read and try at /docs",
        at.gateway
    );
    let _ = writeln!(text, "auth      {}   gRPC", at.auth);
    let _ = writeln!(text, "factory   {}   gRPC", at.factory);
    let set_password = match admin.password {
        Some(password) => format!("PASSWORD='{password}'"),
        None => format!("read -rsp 'password of {username}: ' PASSWORD"),
    };
    let json = "-H 'content-type: application/json'";
    let api = format!("{scheme}://{}", at.gateway);
    let _ = writeln!(
        text,
        "\nTo try it, in another terminal:\n\n  \
         {set_password}; TOKEN=$(curl -s {api}/v1/auth/login {json} -d '{{\"username\":\"{username}\",\"password\":\"'\"$PASSWORD\"'\"}}' | sed -n 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/p')\n  \
         curl -s {api}/v1/me -H \"authorization: Bearer $TOKEN\"\n  \
         curl -s {api}/v1/products -H \"authorization: Bearer $TOKEN\" {json} -d '{{\"sku\":\"W-'$RANDOM'\",\"name\":\"Widget\",\"unit_price\":{{\"currency_code\":\"EUR\",\"units\":\"12\"}},\"on_hand\":\"10\"}}'\n"
    );
    text.push_str("Ready. Ctrl-C stops it.");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at() -> Addresses {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Addresses {
            auth: address(1),
            factory: address(2),
            gateway: address(3),
        }
    }

    #[test]
    fn a_password_is_shown_only_where_one_was_generated() {
        let told = banner(
            &at(),
            &Admin {
                username: "admin",
                password: Some("s3cret"),
            },
            "http",
        );
        assert!(told.contains("PASSWORD='s3cret'"));
        let kept = banner(
            &at(),
            &Admin {
                username: "admin",
                password: None,
            },
            "http",
        );
        assert!(!kept.contains("s3cret") && kept.contains("read -rsp"));
    }

    #[test]
    fn the_ready_file_holds_one_json_object() {
        assert_eq!(
            at().json(),
            r#"{"auth":"127.0.0.1:1","factory":"127.0.0.1:2","gateway":"127.0.0.1:3"}"#
        );
    }
}
