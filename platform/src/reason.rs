//! Every reason that Millgate gives, and the gRPC code that belongs to it.
//!
//! Clients branch on the reason, so a name here is never changed and never given a second
//! meaning. `docs/errors.md` is made from this table.

use tonic::Code;

macro_rules! reasons {
    ($($code:ident { $($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+ })+) => {
        /// What went wrong, as a name that a client can branch on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Reason {
            $($($(#[doc = $doc])+ $name,)+)+
        }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &[Reason] = &[$($(Reason::$name,)+)+];

            /// The gRPC code that carries this reason: the only such table.
            pub const fn code(self) -> Code {
                match self {
                    $($(Self::$name => Code::$code,)+)+
                }
            }

            /// The text of `ErrorInfo.reason`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$name => $text,)+)+
                }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self {
                    $($(Self::$name => concat!($($doc),+),)+)+
                }
            }

            /// The reason that this text names, where it is one of ours.
            pub fn parse(text: &str) -> Option<Self> {
                match text {
                    $($($text => Some(Self::$name),)+)+
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    Unauthenticated {
        /// No usable `authorization` entry.
        TokenMissing = "TOKEN_MISSING",
        /// Forged, malformed or of an unknown key; the fine cause is in the audit log only.
        TokenInvalid = "TOKEN_INVALID",
        /// Genuine, but past its `exp`.
        TokenExpired = "TOKEN_EXPIRED",
        /// Genuine, but before its `nbf` or `iat`.
        TokenNotYetValid = "TOKEN_NOT_YET_VALID",
        /// Genuine, but revoked.
        TokenRevoked = "TOKEN_REVOKED",
        /// Genuine, but not an access token.
        TokenWrongType = "TOKEN_WRONG_TYPE",
        /// The method wants a more recent proof of identity.
        FreshTokenRequired = "FRESH_TOKEN_REQUIRED",
        /// Unknown user, wrong password or disabled: one answer for all three.
        CredentialsInvalid = "CREDENTIALS_INVALID",
        /// The refresh token is unknown, expired or ended.
        RefreshInvalid = "REFRESH_INVALID",
        /// A refresh token was used twice; its whole family is ended.
        RefreshReused = "REFRESH_REUSED",
        /// The token of a password reset is wrong, used, expired or replaced: one answer for all.
        ResetTokenInvalid = "RESET_TOKEN_INVALID",
        /// The session of the token has ended.
        SessionEnded = "SESSION_ENDED",
        /// The second-factor challenge is unknown, used up or expired.
        MfaChallengeInvalid = "MFA_CHALLENGE_INVALID",
    }
    PermissionDenied {
        /// The caller's role may not call the method.
        RoleDenied = "ROLE_DENIED",
        /// The token's scope does not reach the method.
        ScopeDenied = "SCOPE_DENIED",
        /// A person where a service is wanted, or the other way round.
        PrincipalKindDenied = "PRINCIPAL_KIND_DENIED",
        /// The token may not be exchanged on behalf of this subject.
        DelegationDenied = "DELEGATION_DENIED",
        /// This installation does not let people make their own accounts.
        RegistrationClosed = "REGISTRATION_CLOSED",
        /// A served method without an access rule: default deny.
        PolicyMissing = "POLICY_MISSING",
    }
    NotFound {
        /// No such customer, or none that the caller may see.
        CustomerNotFound = "CUSTOMER_NOT_FOUND",
        /// No such user, or none that the caller may see.
        UserNotFound = "USER_NOT_FOUND",
        /// No such product, or none that the caller may see.
        ProductNotFound = "PRODUCT_NOT_FOUND",
        /// No such order, or none that the caller may see.
        OrderNotFound = "ORDER_NOT_FOUND",
        /// No such service ticket, or none that the caller may see.
        TicketNotFound = "TICKET_NOT_FOUND",
        /// No such employee.
        EmployeeNotFound = "EMPLOYEE_NOT_FOUND",
        /// No such production run.
        ProductionRunNotFound = "PRODUCTION_RUN_NOT_FOUND",
        /// No such session, or none that the caller may see.
        SessionNotFound = "SESSION_NOT_FOUND",
        /// No such service account.
        ServiceAccountNotFound = "SERVICE_ACCOUNT_NOT_FOUND",
        /// No such personal access token, or none that the caller may see.
        AccessTokenNotFound = "ACCESS_TOKEN_NOT_FOUND",
        /// No such signing key.
        KeyNotFound = "KEY_NOT_FOUND",
        /// No second factor of this kind is set up.
        SecondFactorNotFound = "SECOND_FACTOR_NOT_FOUND",
    }
    InvalidArgument {
        /// One or more fields are not acceptable; `BadRequest` names them all.
        FieldInvalid = "FIELD_INVALID",
        /// An amount that does not fit the range of money or of a quantity.
        AmountOutOfRange = "AMOUNT_OUT_OF_RANGE",
        /// Not a gRPC request by its content type, verb or path.
        ContentType = "CONTENT_TYPE",
        /// The caller may not write this field.
        FieldNotWritable = "FIELD_NOT_WRITABLE",
        /// No such field.
        UnknownField = "UNKNOWN_FIELD",
        /// A field given twice.
        DuplicateField = "DUPLICATE_FIELD",
        /// Not JSON.
        JsonMalformed = "JSON_MALFORMED",
        /// Not the protobuf message that the method takes, or not exactly one of it.
        MessageMalformed = "MESSAGE_MALFORMED",
        /// The page token was altered, or belongs to another filter or caller.
        PageTokenInvalid = "PAGE_TOKEN_INVALID",
        /// Fewer characters than a password must have.
        PasswordTooShort = "PASSWORD_TOO_SHORT",
        /// More characters than a password may have.
        PasswordTooLong = "PASSWORD_TOO_LONG",
        /// A password that is guessed first: a common one, or one made of the account's own names.
        PasswordBlocklisted = "PASSWORD_BLOCKLISTED",
        /// A password's hash of another system is of no known format, or not whole.
        PasswordHashUnknown = "PASSWORD_HASH_UNKNOWN",
        /// A password's hash of another system asks for more memory or time than a check may take.
        PasswordHashTooCostly = "PASSWORD_HASH_TOO_COSTLY",
    }
    AlreadyExists {
        /// Another user has this name.
        UsernameTaken = "USERNAME_TAKEN",
        /// Another account has this address.
        EmailTaken = "EMAIL_TAKEN",
        /// Another product has this SKU.
        SkuTaken = "SKU_TAKEN",
        /// Another employee has this login.
        UserIdTaken = "USER_ID_TAKEN",
        /// The same client has made an account with this external id before.
        ExternalIdTaken = "EXTERNAL_ID_TAKEN",
        /// Another service account has or had this client id.
        ClientIdTaken = "CLIENT_ID_TAKEN",
        /// The `request_id` was used before for something else.
        RequestIdReused = "REQUEST_ID_REUSED",
    }
    FailedPrecondition {
        /// Less is available than was asked for.
        OutOfStock = "OUT_OF_STOCK",
        /// The object's state does not allow this now.
        StateConflict = "STATE_CONFLICT",
        /// Something else still refers to the object.
        Referenced = "REFERENCED",
        /// This installation cannot send mail, so it cannot do what needs it.
        MailNotConfigured = "MAIL_NOT_CONFIGURED",
        /// The last admin cannot be removed, disabled or demoted.
        LastAdmin = "LAST_ADMIN",
        /// The person has as many personal access tokens as one may have.
        AccessTokenLimit = "ACCESS_TOKEN_LIMIT",
    }
    Aborted {
        /// The object changed since the caller read it.
        EtagMismatch = "ETAG_MISMATCH",
    }
    ResourceExhausted {
        /// More calls than the principal or the address may make.
        RateLimited = "RATE_LIMITED",
        /// Too many failed logins for this account or address.
        AccountThrottled = "ACCOUNT_THROTTLED",
        /// Too many wrong second-factor codes.
        MfaThrottled = "MFA_THROTTLED",
        /// A bounded queue of ours is full.
        Overloaded = "OVERLOADED",
        /// More open streams than the caller may have.
        StreamLimit = "STREAM_LIMIT",
        /// The message is larger than the server takes.
        MessageTooLarge = "MESSAGE_TOO_LARGE",
    }
    Unavailable {
        /// The database cannot be reached or is overcommitted; try again.
        StoreUnavailable = "STORE_UNAVAILABLE",
        /// The auth service cannot be reached; try again.
        AuthUnavailable = "AUTH_UNAVAILABLE",
        /// The feed of revocations is older than this server may trust.
        RevocationUnavailable = "REVOCATION_UNAVAILABLE",
        /// The server is going down; another one or a later try will answer.
        ShuttingDown = "SHUTTING_DOWN",
    }
    DeadlineExceeded {
        /// The call's time was up.
        Deadline = "DEADLINE",
    }
    Cancelled {
        /// The caller gave the call up.
        Cancelled = "CANCELLED",
    }
    Unimplemented {
        /// Nobody serves this path.
        MethodUnknown = "METHOD_UNKNOWN",
        /// The message is compressed in a way that the server does not take.
        EncodingUnsupported = "ENCODING_UNSUPPORTED",
    }
    Internal {
        /// A defect of ours: never anything a caller can cause.
        Internal = "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_spelled_once_and_reads_back() {
        let mut seen = std::collections::HashSet::new();
        for reason in Reason::ALL {
            assert!(seen.insert(reason.as_str()), "{reason:?} shares its text");
            assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        }
        assert_eq!(Reason::parse("NO_SUCH_REASON"), None);
    }

    #[test]
    fn a_reason_never_carries_ok_or_unknown() {
        for reason in Reason::ALL {
            assert!(
                !matches!(reason.code(), Code::Ok | Code::Unknown),
                "{reason:?}"
            );
        }
    }
}
