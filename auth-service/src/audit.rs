//! Security events, told to the log target `millgate.audit`: who did what, through which session, from where, and
//! why it was refused. Never a secret, and never a name that somebody typed: people type passwords there.

use crate::origin::Origin;

/// One event.
#[derive(Debug, Default)]
pub(crate) struct Event<'a> {
    /// What was done or tried, such as `login`.
    pub(crate) what: &'static str,
    /// Why it was refused or done; empty where there is nothing to say.
    pub(crate) cause: &'static str,
    /// Who did it: a caller's key, such as `user:7`; empty for somebody who has not proved who they are.
    pub(crate) actor: &'a str,
    /// Whose account it was, where that is known.
    pub(crate) subject: Option<i64>,
    /// The service account that it was about.
    pub(crate) client_id: &'a str,
    /// The session that it was about.
    pub(crate) session: &'a str,
}

impl Event<'_> {
    /// Tells that it was done.
    pub(crate) fn done(self, origin: &Origin) {
        self.tell("done", origin);
    }

    /// Tells that it was refused.
    pub(crate) fn refused(self, origin: &Origin) {
        self.tell("refused", origin);
    }

    fn tell(self, outcome: &'static str, origin: &Origin) {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        tracing::info!(
            target: "millgate.audit",
            event = self.what,
            outcome,
            cause = some(self.cause),
            actor = some(self.actor),
            subject = self.subject,
            client_id = some(self.client_id),
            session = some(self.session),
            address = some(&origin.address),
            "{}", self.what
        );
    }
}
