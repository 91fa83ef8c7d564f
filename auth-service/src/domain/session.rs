//! A session: what begins with a login and ends with a logout, or by itself.

use std::time::Duration;

use super::Micros;
use super::time::micros;

/// How long a session lives.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SessionLimits {
    /// Without a refresh (NIST SP 800-63B section 5.2 asks for such a limit).
    pub(crate) idle: Duration,
    /// In all, however busy it is.
    pub(crate) absolute: Duration,
    /// How many of one person live at a time.
    pub(crate) per_user: u32,
}

/// Why a session was ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndReason {
    /// The person logged out.
    Logout,
    /// One of its refresh tokens was used twice.
    RefreshReused,
    /// The password was changed in another session.
    PasswordChanged,
    /// The password was set anew by a mailed link.
    PasswordReset,
    /// The account got another role.
    RoleChanged,
    /// The account was disabled.
    Disabled,
    /// The person ended all their sessions.
    LogoutEverywhere,
    /// The person, or an administrator, ended this one.
    Revoked,
    /// The person began more sessions than they may have at a time, and this was the one not used for the longest.
    TooMany,
    /// The second factor was turned on, taken away, or given new recovery codes.
    SecondFactorChanged,
}

impl EndReason {
    /// The reason in the database and in the audit log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::RefreshReused => "refresh_reused",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::SecondFactorChanged => "second_factor_changed",
            Self::RoleChanged => "role_changed",
            Self::Disabled => "disabled",
            Self::LogoutEverywhere => "logout_everywhere",
            Self::Revoked => "revoked",
            Self::TooMany => "too_many",
        }
    }
}

/// A session as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// A UUID: the `sid` of its tokens.
    pub(crate) id: String,
    /// Whose it is.
    pub(crate) user_id: i64,
    /// When the person last proved who they are.
    pub(crate) auth_time: Micros,
    /// How they did (RFC 8176), separated by spaces.
    pub(crate) amr: String,
    /// When it began.
    pub(crate) create_time: Micros,
    /// When it was last refreshed.
    pub(crate) last_used_time: Micros,
    /// When it was ended, where it was.
    pub(crate) ended_time: Option<Micros>,
}

/// A session as it is shown to the person whose it is.
#[derive(Debug, Clone)]
pub(crate) struct ListedSession {
    /// The session.
    pub(crate) session: Session,
    /// What they called the device.
    pub(crate) device_label: String,
    /// The address that the login came from.
    pub(crate) address: String,
    /// The program that it came from.
    pub(crate) user_agent: String,
    /// Why it was ended, where it was.
    pub(crate) end_reason: Option<String>,
}

impl Session {
    /// Whether it can be used at `now`.
    pub(crate) fn lives(&self, now: Micros, limits: SessionLimits) -> bool {
        self.ended_time.is_none() && now < self.expiry(limits)
    }

    /// The moment it ends if nobody uses it any more.
    pub(crate) fn expiry(&self, limits: SessionLimits) -> Micros {
        let idle = self.last_used_time.saturating_add(micros(limits.idle));
        idle.min(self.end(limits))
    }

    /// The moment it ends at the latest: no token of it lives longer.
    pub(crate) fn end(&self, limits: SessionLimits) -> Micros {
        self.create_time.saturating_add(micros(limits.absolute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: SessionLimits = SessionLimits {
        idle: Duration::from_secs(7),
        absolute: Duration::from_secs(30),
        per_user: 100,
    };
    const SECOND: Micros = 1_000_000;

    fn session() -> Session {
        Session {
            id: "s".into(),
            user_id: 1,
            auth_time: 0,
            amr: "pwd".into(),
            create_time: 0,
            last_used_time: 0,
            ended_time: None,
        }
    }

    #[test]
    fn a_session_ends_when_it_is_idle() {
        assert!(session().lives(7 * SECOND - 1, LIMITS));
        assert!(!session().lives(7 * SECOND, LIMITS));
        let used = Session {
            last_used_time: 5 * SECOND,
            ..session()
        };
        assert!(used.lives(12 * SECOND - 1, LIMITS));
    }

    #[test]
    fn a_session_ends_however_busy_it_is() {
        let busy = Session {
            last_used_time: 29 * SECOND,
            ..session()
        };
        assert!(busy.lives(30 * SECOND - 1, LIMITS));
        assert!(!busy.lives(30 * SECOND, LIMITS));
    }

    #[test]
    fn an_ended_session_stays_ended_even_if_the_clock_goes_back() {
        let ended = Session {
            ended_time: Some(5 * SECOND),
            ..session()
        };
        assert!(!ended.lives(SECOND, LIMITS));
    }
}
