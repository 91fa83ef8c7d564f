//! Mail: the links by which passwords are set anew.

mod config;

use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use millgate_platform::Metrics;
use prometheus_client::metrics::counter::Counter;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::{RESET_LIFE, User};

pub use config::{MailArgs, SmtpUrl};

/// How long to wait before a mail is tried again: a server that is restarted, or asks to come back (greylisting is
/// longer, and not waited for: the token would be old).
const AGAIN_AFTER: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// How long one try may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Where mail goes.
pub(crate) struct Mailer {
    way: Way,
    template: LinkTemplate,
    sent: Counter,
    failed: Counter,
}

enum Way {
    Smtp {
        server: Box<AsyncSmtpTransport<Tokio1Executor>>,
        from: Mailbox,
    },
    /// Into the log: only where somebody develops.
    Log,
}

/// What became of a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// A server has taken it.
    Sent,
    /// None has, however often it was asked.
    Failed,
}

/// The link of a mail, with a place for the token.
#[derive(Debug, Clone, Default)]
pub(crate) struct LinkTemplate(Option<(String, String)>);

impl LinkTemplate {
    /// Reads a link with `{token}` in it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (before, after) = text
            .split_once("{token}")
            .ok_or("must hold `{token}`, where the token goes")?;
        if after.contains("{token}") {
            return Err("must hold `{token}` once");
        }
        let web = before.starts_with("https://") || before.starts_with("http://");
        let plain = |c: char| c.is_ascii_graphic();
        if !web || !text.chars().all(plain) {
            return Err("must be a link: https://...");
        }
        Ok(Self(Some((before.to_owned(), after.to_owned()))))
    }

    fn link(&self, token: &SecretString) -> SecretString {
        let token = token.expose_secret();
        match &self.0 {
            Some((before, after)) => format!("{before}{token}{after}").into(),
            None => token.into(),
        }
    }
}

impl Mailer {
    fn new(way: Way, template: LinkTemplate) -> Self {
        Self {
            way,
            template,
            sent: Counter::default(),
            failed: Counter::default(),
        }
    }

    /// Shows how many mails were sent, and how many were not.
    pub(crate) fn register(&self, metrics: &Metrics) {
        metrics.register(|registry| {
            let (sent, failed) = (self.sent.clone(), self.failed.clone());
            registry.register("mails_sent", "Mails that a server has taken", sent);
            registry.register(
                "mails_failed",
                "Mails that were lost: no server took them, or the service could not make them",
                failed,
            );
        });
    }

    /// Counts a mail that could not be made.
    pub(crate) fn lost(&self) {
        self.failed.inc();
    }

    /// Whether something sent to an account with this address could arrive. The log takes everything.
    pub(crate) fn reaches(&self, email: Option<&str>) -> bool {
        matches!(self.way, Way::Log) || email.is_some()
    }

    /// Sends the link. A server that does not answer, or asks to come back, is tried again.
    pub(crate) async fn send_reset(&self, user: &User, token: &SecretString) -> Delivery {
        let link = self.template.link(token);
        let (server, from) = match &self.way {
            Way::Smtp { server, from } => (server, from),
            Way::Log => {
                tracing::warn!(
                    user = user.id,
                    link = link.expose_secret(),
                    "DEVELOPMENT ONLY: a password can be set anew with this, within 15 minutes"
                );
                self.sent.inc();
                return Delivery::Sent;
            }
        };
        let Some(mail) = mail(from, user, &link) else {
            return self.give_up(user, "the address is none that mail can be sent to");
        };
        let mut waits = AGAIN_AFTER.iter();
        loop {
            let tried = tokio::time::timeout(TIMEOUT, server.send(mail.clone())).await;
            let (why, final_word) = match tried {
                Ok(Ok(_)) => {
                    self.sent.inc();
                    return Delivery::Sent;
                }
                Ok(Err(error)) => (cause(&error), error.is_permanent()),
                Err(_) => ("it took too long".to_owned(), false),
            };
            match waits.next() {
                Some(wait) if !final_word => {
                    tracing::warn!(
                        user = user.id,
                        why,
                        "a mail was not taken; it is tried again"
                    );
                    tokio::time::sleep(*wait).await;
                }
                _ => return self.give_up(user, &why),
            }
        }
    }

    fn give_up(&self, user: &User, why: &str) -> Delivery {
        self.failed.inc();
        tracing::error!(user = user.id, why, "a mail could not be sent");
        Delivery::Failed
    }
}

/// What the log says about a failure: never the server's own words, which may repeat the mail and its link.
fn cause(error: &lettre::transport::smtp::Error) -> String {
    match error.status() {
        Some(status) => format!("the mail server answered {status}"),
        None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
        None if error.is_tls() => "no TLS with the mail server".to_owned(),
        None if error.is_client() => "the mail server does not do what is needed".to_owned(),
        None => "the mail server cannot be reached".to_owned(),
    }
}

fn mail(from: &Mailbox, user: &User, link: &SecretString) -> Option<Message> {
    let to: Address = user.email.as_deref()?.parse().ok()?;
    let minutes = RESET_LIFE.as_secs() / 60;
    let who = user.username.as_deref().unwrap_or_default();
    let of = if who.is_empty() {
        String::new()
    } else {
        format!(" of {who}")
    };
    let link = link.expose_secret();
    let text = format!(
        "Somebody asked to set the password{of} anew. If it was you, follow this link within {minutes} minutes:\r\n\r\n\
         {link}\r\n\r\n\
         If it was not you, there is nothing to do: the password stays what it is.\r\n"
    );
    Message::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject("Set your password anew")
        .header(ContentType::TEXT_PLAIN)
        .body(text)
        .ok()
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_one_place_for_the_token() {
        let token = SecretString::from("T0ken");
        let link = |text: &str| {
            let template = LinkTemplate::parse(text)?;
            Ok::<_, &str>(template.link(&token).expose_secret().to_owned())
        };
        assert_eq!(
            link("https://app.example.com/reset#t={token}&x=1").as_deref(),
            Ok("https://app.example.com/reset#t=T0ken&x=1")
        );
        assert!(link("http://localhost:3000/{token}").is_ok());
        for bad in [
            "",
            "https://app.example.com/",
            "{token}",
            "javascript:{token}",
            "https://a/{token}/{token}",
            "https://a/ {token}",
            "https://a/{token}\r\nBcc: x@y.z",
        ] {
            assert!(link(bad).is_err(), "{bad}");
        }
    }
}
