//! The settings of mail.

use lettre::AsyncSmtpTransport;
use lettre::message::Mailbox;
use millgate_platform::{StartError, secret_arg};
use secrecy::ExposeSecret;

use super::{LinkTemplate, Mailer, TIMEOUT, Way};

secret_arg! {
    /// The mail server: `smtps://user:password@host:465`, or `smtp://host:587?tls=required` (STARTTLS). Certificates are
    /// those that browsers trust.
    pub struct SmtpUrl { flag: "smtp-url", env: "AUTH_SMTP_URL" }
}

/// How mail is sent: all three of server, sender and link, or none.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Mail")]
pub struct MailArgs {
    /// The mail server.
    #[command(flatten)]
    pub smtp_url: SmtpUrl,

    /// Whom mail comes from, such as `Millgate <noreply@example.com>`.
    #[arg(long, env = "AUTH_MAIL_FROM", value_name = "MAILBOX")]
    pub mail_from: Option<String>,

    /// The link to the page where a password is set anew, with `{token}` in it; best behind a `#`, which no server logs.
    #[arg(long, env = "AUTH_RESET_URL", value_name = "LINK")]
    pub reset_url: Option<String>,

    /// Where no mail server is set: write the links to the log. For development alone: whoever reads the log can take
    /// over every account. Off, but with `millgate serve` on where the accounts are in its own folder.
    #[arg(long, env = "AUTH_LOG_RESET_LINKS", value_name = "BOOL")]
    pub log_reset_links: Option<bool>,
}

impl MailArgs {
    /// The way that mail goes; none where none is set.
    ///
    /// # Errors
    /// Names the setting that is wrong or missing.
    pub(crate) fn mailer(&self) -> Result<Option<Mailer>, StartError> {
        let url = self.smtp_url.resolve()?;
        let template = match &self.reset_url {
            Some(text) => LinkTemplate::parse(text)
                .map_err(|message| StartError::new("AUTH_RESET_URL", message))?,
            None => LinkTemplate::default(),
        };
        let Some(url) = url else {
            if self.mail_from.is_some() {
                let message = "is needed where AUTH_MAIL_FROM is set";
                return Err(StartError::new("AUTH_SMTP_URL", message));
            }
            return Ok(self.log(template));
        };
        let needed = |name| StartError::new(name, "is needed where AUTH_SMTP_URL is set");
        let from = self
            .mail_from
            .as_deref()
            .ok_or_else(|| needed("AUTH_MAIL_FROM"))?;
        let from: Mailbox = from.parse().map_err(|_| {
            let message = "must be like `Millgate <noreply@example.com>`";
            StartError::new("AUTH_MAIL_FROM", message)
        })?;
        if self.reset_url.is_none() {
            return Err(needed("AUTH_RESET_URL"));
        }
        let server = server(url.expose_secret())
            .map_err(|message| StartError::new("AUTH_SMTP_URL", message))?;
        let way = Way::Smtp {
            server: Box::new(server),
            from,
        };
        Ok(Some(Mailer::new(way, template)))
    }

    fn log(&self, template: LinkTemplate) -> Option<Mailer> {
        self.log_reset_links.unwrap_or_default().then(|| {
            tracing::warn!(
                "AUTH_LOG_RESET_LINKS is on: links that set passwords anew go to the log, for whoever reads it"
            );
            Mailer::new(Way::Log, template)
        })
    }
}

/// The server of a URL. Never says what stands in it: there is a password.
fn server(url: &str) -> Result<AsyncSmtpTransport<lettre::Tokio1Executor>, &'static str> {
    const SHAPE: &str = "must be smtps://user:password@host:465 or smtp://host:587?tls=required";
    let (scheme, rest) = url.split_once("://").ok_or(SHAPE)?;
    let plain = match scheme {
        "smtps" => false,
        "smtp" => !rest.contains("?tls=required"),
        _ => return Err(SHAPE),
    };
    if plain && rest.contains('?') {
        // `tls=opportunistic` is what whoever stands in between makes of it.
        return Err(SHAPE);
    }
    if plain && rest.contains('@') {
        return Err("would send the password in clear: use smtps:// or ?tls=required");
    }
    if plain {
        tracing::warn!("AUTH_SMTP_URL has no TLS: whoever is on the way can read the links");
    }
    let server = AsyncSmtpTransport::<lettre::Tokio1Executor>::from_url(url).map_err(|_| SHAPE)?;
    Ok(server.timeout(Some(TIMEOUT)).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(url: &str, from: &str, link: &str) -> MailArgs {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        MailArgs {
            smtp_url: SmtpUrl {
                value: some(url).map(Into::into),
                file: None,
            },
            mail_from: some(from),
            reset_url: some(link),
            log_reset_links: None,
        }
    }

    #[tokio::test]
    async fn mail_is_set_whole_or_not_at_all() {
        const URL: &str = "smtps://user:hunter2@mail.example.com:465";
        const FROM: &str = "Millgate <noreply@example.com>";
        const LINK: &str = "https://example.com/#{token}";
        for url in [
            URL,
            "smtp://mail.example.com?tls=required",
            "smtp://localhost:25",
        ] {
            let mailer = args(url, FROM, LINK).mailer().expect(url);
            assert!(mailer.is_some(), "{url}");
        }
        assert!(args("", "", "").mailer().expect("none").is_none());
        for (url, from, link, named) in [
            (URL, "", LINK, "AUTH_MAIL_FROM"),
            (URL, FROM, "", "AUTH_RESET_URL"),
            ("", FROM, LINK, "AUTH_SMTP_URL"),
            (URL, "nobody", LINK, "AUTH_MAIL_FROM"),
            (URL, FROM, "https://example.com/", "AUTH_RESET_URL"),
            (
                "smtp://user:hunter2@mail.example.com",
                FROM,
                LINK,
                "AUTH_SMTP_URL",
            ),
            (
                "smtp://mail.example.com?tls=opportunistic",
                FROM,
                LINK,
                "AUTH_SMTP_URL",
            ),
            (
                "https://user:hunter2@mail.example.com",
                FROM,
                LINK,
                "AUTH_SMTP_URL",
            ),
            ("hunter2", FROM, LINK, "AUTH_SMTP_URL"),
        ] {
            let error = args(url, from, link).mailer().expect_err(named).to_string();
            assert!(
                error.contains(named) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn links_go_to_the_log_only_where_that_is_said_and_no_server_is_set() {
        let mut logged = args("", "", "");
        logged.log_reset_links = Some(true);
        let mailer = logged.mailer().expect("good").expect("a mailer");
        assert!(mailer.reaches(None));
        let mut both = args(
            "smtp://localhost",
            "a@example.com",
            "https://example.com/#{token}",
        );
        both.log_reset_links = Some(true);
        let mailer = both.mailer().expect("good").expect("a mailer");
        assert!(!mailer.reaches(None) && mailer.reaches(Some("a@b.c")));
    }
}
