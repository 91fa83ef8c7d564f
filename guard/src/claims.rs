//! What a token says, and the shape that each kind of principal's token must have.

use serde_json::{Map, Value, json};

use crate::json::{self, Flaw, Reader};
use crate::scopes::Scopes;

/// The claims of an access token (RFC 7519, RFC 9068, RFC 8693). Times are seconds since the Unix
/// epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// `iss`: who made the token.
    pub issuer: String,
    /// `aud`: whom it is for; one string.
    pub audience: String,
    /// `sub`: a person's id in decimal, or a service's client id.
    pub subject: String,
    /// `iat`, in seconds.
    pub issued_at: i64,
    /// `exp`, in seconds: from this second on the token is refused.
    pub expires_at: i64,
    /// `nbf`, in seconds, where present.
    pub not_before: Option<i64>,
    /// `jti`: the token's own name.
    pub token_id: String,
    /// `auth_time`: when the person last proved who they are, in seconds.
    pub auth_time: Option<i64>,
    /// `amr`: how they did (RFC 8176).
    pub amr: Vec<String>,
    /// `scope`: absent in a person's token means unscoped.
    pub scope: Option<Scopes>,
    /// `role`: a person's role; a service has none.
    pub role: Option<String>,
    /// `sid`: a person's session.
    pub session: Option<String>,
    /// `gen`: the generation of a person's tokens; a revocation raises it.
    pub generation: Option<i64>,
    /// `act`: who acts on the subject's behalf, and behind them who acted before (RFC 8693 section
    /// 4.1); empty where the subject acts alone.
    pub actors: Vec<String>,
}

/// How many may stand in a token's `act`, one acting through the other.
pub const MOST_ACTORS: usize = 3;

/// Which kind of principal the claims describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    User { id: i64 },
    Service,
}

/// The longest client id, in bytes.
const LONGEST_CLIENT_ID: usize = 128;

impl Claims {
    /// Reads the claims from a token's payload. Claims that are not known are skipped, yet held
    /// to the same strictness.
    pub(crate) fn read(payload: &[u8]) -> Result<Self, Flaw> {
        let (mut issuer, mut audience, mut subject, mut token_id) = (None, None, None, None);
        let (mut issued_at, mut expires_at) = (None, None);
        let (mut not_before, mut auth_time, mut generation) = (None, None, None);
        let (mut scope, mut role, mut session) = (None, None, None);
        let (mut amr, mut actors) = (Vec::new(), Vec::new());
        json::read_object(payload, |value, name| {
            // As bytes they are told apart by comparing bytes, and not by a call for each name.
            match name.as_bytes() {
                b"iss" => issuer = Some(value.string()?),
                b"aud" => audience = Some(value.string()?),
                b"sub" => subject = Some(value.string()?),
                b"jti" => token_id = Some(value.string()?),
                b"iat" => issued_at = Some(value.integer()?),
                b"exp" => expires_at = Some(value.integer()?),
                b"nbf" => not_before = Some(value.integer()?),
                b"auth_time" => auth_time = Some(value.integer()?),
                b"gen" => generation = Some(value.integer()?),
                b"role" => role = Some(value.string()?),
                b"sid" => session = Some(value.string()?),
                b"scope" => {
                    let text = value.string()?;
                    scope = Some(Scopes::parse(&text).map_err(|_| "scope is not a set of scopes")?);
                }
                b"amr" => value.array(|element| {
                    amr.push(element.string()?.into_owned());
                    Ok(())
                })?,
                b"act" => actors = read_actors(value)?,
                _ => value.skip_value()?,
            }
            Ok(())
        })?;
        Ok(Self {
            issuer: issuer.ok_or("iss is missing")?.into_owned(),
            audience: audience.ok_or("aud is missing")?.into_owned(),
            subject: subject.ok_or("sub is missing")?.into_owned(),
            issued_at: issued_at.ok_or("iat is missing")?,
            expires_at: expires_at.ok_or("exp is missing")?,
            not_before,
            token_id: token_id.ok_or("jti is missing")?.into_owned(),
            auth_time,
            amr,
            scope,
            role: role.map(Into::into),
            session: session.map(Into::into),
            generation,
            actors,
        })
    }

    /// Tells a person from a service; a mixture of both is neither.
    pub(crate) fn kind(&self) -> Result<Kind, Flaw> {
        if self.token_id.is_empty() {
            return Err("jti is empty");
        }
        if self.actors.iter().any(String::is_empty) {
            return Err("act.sub is empty");
        }
        match (&self.role, &self.session, self.generation) {
            (Some(role), Some(session), Some(generation)) => {
                if role.is_empty() || session.is_empty() || generation < 0 {
                    return Err("role or sid is empty, or gen negative");
                }
                let id = decimal_id(&self.subject).ok_or("sub is not a person's id")?;
                Ok(Kind::User { id })
            }
            (None, None, None) if is_client_id(&self.subject) => Ok(Kind::Service),
            (None, None, None) => Err("sub is not a client id"),
            _ => Err("role, sid and gen come together or not at all"),
        }
    }

    /// The payload of a token with these claims.
    pub(crate) fn to_json(&self) -> String {
        let mut members = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                members.insert(name.to_owned(), value);
            }
        };
        put("iss", Some(json!(self.issuer)));
        put("aud", Some(json!(self.audience)));
        put("sub", Some(json!(self.subject)));
        put("iat", Some(json!(self.issued_at)));
        put("exp", Some(json!(self.expires_at)));
        put("nbf", self.not_before.map(Value::from));
        put("jti", Some(json!(self.token_id)));
        put("auth_time", self.auth_time.map(Value::from));
        put("amr", (!self.amr.is_empty()).then(|| json!(self.amr)));
        put(
            "scope",
            self.scope.as_ref().map(|scope| json!(scope.to_string())),
        );
        put("role", self.role.as_ref().map(|role| json!(role)));
        put("sid", self.session.as_ref().map(|session| json!(session)));
        put("gen", self.generation.map(Value::from));
        let act = self
            .actors
            .iter()
            .rfold(None, |before: Option<Value>, actor| {
                Some(match before {
                    Some(before) => json!({ "sub": actor, "act": before }),
                    None => json!({ "sub": actor }),
                })
            });
        put("act", act);
        Value::Object(members).to_string()
    }
}

/// The `sub` of an `act` and of those nested in it, the one who acts now first.
fn read_actors(act: &mut Reader<'_>) -> Result<Vec<String>, Flaw> {
    let (mut actor, mut before) = (None, Vec::new());
    act.object(|member, name| {
        match name {
            "sub" => actor = Some(member.string()?.into_owned()),
            // The reader's own limit on nesting ends this.
            "act" => before = read_actors(member)?,
            _ => member.skip_value()?,
        }
        Ok(())
    })?;
    before.insert(0, actor.ok_or("act has no sub")?);
    if before.len() > MOST_ACTORS {
        return Err("too many act for each other");
    }
    Ok(before)
}

/// A person's id: positive, in the one decimal spelling.
fn decimal_id(text: &str) -> Option<i64> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| canonical)
}

/// A client id: printable ASCII (RFC 6749 appendix A.1) without space, and not a number, so that
/// no service is ever taken for a person.
fn is_client_id(text: &str) -> bool {
    (1..=LONGEST_CLIENT_ID).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && !text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERSON: &str = r#"{"iss":"i","aud":"a","sub":"7","iat":1,"exp":2,"jti":"j","role":"user","sid":"s","gen":0}"#;
    const SERVICE: &str = r#"{"iss":"i","aud":"a","sub":"factory","iat":1,"exp":2,"jti":"j"}"#;

    fn kind_of(payload: &str) -> Result<Kind, Flaw> {
        Claims::read(payload.as_bytes())?.kind()
    }

    /// The good payload with one member's text replaced.
    fn with(payload: &str, member: &str, other: &str) -> String {
        let changed = payload.replacen(member, other, 1);
        assert_ne!(changed, payload, "{member} is not there");
        changed
    }

    #[test]
    fn a_person_and_a_service_are_told_apart() {
        assert_eq!(kind_of(PERSON), Ok(Kind::User { id: 7 }));
        assert_eq!(kind_of(SERVICE), Ok(Kind::Service));
    }

    #[test]
    fn a_mixture_of_person_and_service_is_neither() {
        for member in [r#","role":"user""#, r#","sid":"s""#, r#","gen":0"#] {
            let payload = with(PERSON, member, "");
            assert!(kind_of(&payload).is_err(), "{payload}");
            let payload = with(SERVICE, r#""jti":"j""#, &format!(r#""jti":"j"{member}"#));
            assert!(kind_of(&payload).is_err(), "{payload}");
        }
    }

    #[test]
    fn a_persons_id_has_one_spelling() {
        for sub in [
            "0",
            "07",
            "-7",
            "+7",
            " 7",
            "7 ",
            "7.0",
            "",
            "seven",
            "٧",
            "9223372036854775808",
        ] {
            let payload = with(PERSON, r#""sub":"7""#, &format!(r#""sub":"{sub}""#));
            assert!(kind_of(&payload).is_err(), "{payload}");
        }
        let largest = with(PERSON, r#""sub":"7""#, r#""sub":"9223372036854775807""#);
        assert_eq!(kind_of(&largest), Ok(Kind::User { id: i64::MAX }));
    }

    #[test]
    fn a_service_is_never_called_like_a_person() {
        for sub in ["7", "", "a b", "a\\n", "ä"] {
            let payload = with(SERVICE, "factory", sub);
            assert!(kind_of(&payload).is_err(), "{payload}");
        }
        assert!(kind_of(&with(SERVICE, "factory", &"x".repeat(128))).is_ok());
        assert!(kind_of(&with(SERVICE, "factory", &"x".repeat(129))).is_err());
    }

    #[test]
    fn every_claim_that_is_needed_is_needed() {
        for member in [
            r#""iss":"i","#,
            r#""aud":"a","#,
            r#""sub":"7","#,
            r#""iat":1,"#,
            r#""exp":2,"#,
            r#""jti":"j","#,
        ] {
            assert!(kind_of(&with(PERSON, member, "")).is_err(), "{member}");
        }
    }

    #[test]
    fn every_claim_has_its_one_type() {
        for (member, other) in [
            (r#""aud":"a""#, r#""aud":["a"]"#),
            (r#""iss":"i""#, r#""iss":null"#),
            (r#""sub":"7""#, r#""sub":7"#),
            (r#""iat":1"#, r#""iat":1.0"#),
            (r#""iat":1"#, r#""iat":"1""#),
            (r#""exp":2"#, r#""exp":2e0"#),
            (r#""exp":2"#, r#""exp":99999999999999999999"#),
            (r#""jti":"j""#, r#""jti":"""#),
            (r#""jti":"j""#, r#""jti":"j","nbf":"1""#),
            (r#""jti":"j""#, r#""jti":"j","auth_time":1.5"#),
            (r#""jti":"j""#, r#""jti":"j","amr":"pwd""#),
            (r#""jti":"j""#, r#""jti":"j","amr":[1]"#),
            (r#""jti":"j""#, r#""jti":"j","scope":"""#),
            (r#""jti":"j""#, r#""jti":"j","scope":["a"]"#),
            (r#""jti":"j""#, r#""jti":"j","scope":null"#),
            (r#""jti":"j""#, r#""jti":"j","act":"x""#),
            (r#""jti":"j""#, r#""jti":"j","act":{}"#),
            (r#""jti":"j""#, r#""jti":"j","act":{"sub":""}"#),
            (r#""jti":"j""#, r#""jti":"j","act":{"sub":"a","act":{}}"#),
            (
                r#""jti":"j""#,
                r#""jti":"j","act":{"sub":"a","act":{"sub":""}}"#,
            ),
            (r#""jti":"j""#, r#""jti":"j","act":{"sub":"a","act":"b"}"#),
            (
                r#""jti":"j""#,
                r#""jti":"j","act":{"sub":"a","act":{"sub":"b","act":{"sub":"c","act":{"sub":"d"}}}}"#,
            ),
            (r#""role":"user""#, r#""role":"""#),
            (r#""role":"user""#, r#""role":["admin"]"#),
            (r#""role":"user""#, r#""role":null"#),
            (r#""sid":"s""#, r#""sid":"""#),
            (r#""gen":0"#, r#""gen":-1"#),
            (r#""gen":0"#, r#""gen":0,"gen":0"#),
        ] {
            let payload = with(PERSON, member, other);
            assert!(kind_of(&payload).is_err(), "{payload}");
        }
    }

    #[test]
    fn unknown_claims_are_skipped() {
        let payload = with(
            PERSON,
            r#""gen":0"#,
            r#""gen":0,"x":{"y":[1.5,{}]},"act":{"z":1,"act":{"sub":"e"},"sub":"f"}"#,
        );
        let claims = Claims::read(payload.as_bytes()).unwrap();
        assert_eq!(claims.actors, ["f", "e"]);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let claims = Claims {
            issuer: "i\"\\\n".to_owned(),
            audience: "a".to_owned(),
            subject: "7".to_owned(),
            issued_at: -1,
            expires_at: i64::MAX,
            not_before: Some(3),
            token_id: "j".to_owned(),
            auth_time: Some(4),
            amr: vec!["pwd".to_owned(), "otp".to_owned()],
            scope: Some(Scopes::parse("b a").unwrap()),
            role: Some("ä".to_owned()),
            session: Some("s".to_owned()),
            generation: Some(5),
            actors: Vec::new(),
        };
        for actors in [&[][..], &["factory"], &["c", "b", "a"]] {
            let claims = Claims {
                actors: actors.iter().map(|&actor| actor.to_owned()).collect(),
                ..claims.clone()
            };
            assert_eq!(Claims::read(claims.to_json().as_bytes()), Ok(claims));
        }
    }
}
