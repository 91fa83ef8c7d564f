use super::*;

fn refused(text: &str) -> HashFault {
    Stored::parse(text).expect_err(text)
}

#[test]
fn a_hash_that_asks_for_too_much_work_is_not_obeyed() {
    let (sha256, sha512) = ("0".repeat(64), "0".repeat(128));
    let base64 = format!("{}=", "A".repeat(43));
    let base64_64 = format!("{}==", "A".repeat(86));
    let salt = "abcdefghijklmnopqrstuu";
    let digest = format!("{}.", "A".repeat(30));
    for good in [
        format!("pbkdf2:sha256:4000000$s${sha256}"),
        format!("scrypt:131072:8:1$s${sha512}"),
        format!("scrypt:32768:8:8$s${sha512}"),
        format!("pbkdf2_sha256$4000000$s${base64}"),
        format!("scrypt$16384$s$8$5${base64_64}"),
        format!("$2b$14${salt}{digest}"),
    ] {
        assert!(Stored::parse(&good).is_ok(), "{good}");
    }
    for greedy in [
        format!("pbkdf2:sha256:4000001$s${sha256}"),
        format!("pbkdf2:sha256:99999999999$s${sha256}"),
        format!("pbkdf2_sha256$18446744073709551615$s${base64}"),
        format!("scrypt:4194304:8:1$s${sha512}"),
        format!("scrypt:32768:4096:1$s${sha512}"),
        format!("scrypt:32768:8:9$s${sha512}"),
        format!("scrypt:262144:8:1$s${sha512}"),
        format!("scrypt:18446744073709551616:4294967295:1$s${sha512}"),
        format!("scrypt$16384$s$8$50${base64_64}"),
        format!("$2b$15${salt}{digest}"),
        format!("bcrypt_sha256$$2b$31${salt}{digest}"),
        // 4 GiB.
        "$argon2i$v=19$m=4194304,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
            .to_owned(),
        "$argon2id$v=16$m=65536,t=9,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
            .to_owned(),
    ] {
        assert_eq!(refused(&greedy), HashFault::TooCostly, "{greedy}");
    }
}

#[test]
fn a_malformed_or_shortened_hash_is_none() {
    let (sha256, sha512) = ("0".repeat(64), "0".repeat(128));
    let base64 = format!("{}=", "A".repeat(43));
    let salt = "abcdefghijklmnopqrstuu";
    let digest = format!("{}.", "A".repeat(30));
    for bad in [
        format!("pbkdf2:sha256:0$s${sha256}"),
        format!("pbkdf2:sha256:-1$s${sha256}"),
        format!("pbkdf2:sha256:+1000$s${sha256}"),
        format!("pbkdf2:sha256:01000$s${sha256}"),
        format!("pbkdf2:md5:1000$s${sha256}"),
        format!("pbkdf2:sha256$s${sha256}"),
        format!("pbkdf2:sha256:1000$$${sha256}"),
        format!("pbkdf2:sha256:1000$${sha256}"),
        format!("pbkdf2:sha256:1000${}${sha256}", "s".repeat(257)),
        "pbkdf2:sha256:1000$s$".to_owned(),
        "pbkdf2:sha256:1000$s$00".to_owned(),
        format!("pbkdf2:sha256:1000$s${sha256}$x"),
        format!("pbkdf2:sha256:1000$s${}é", &sha256[..62]),
        format!("pbkdf2_sha256$1000$$${base64}"),
        format!("pbkdf2_sha256$1000$s${}", &base64[..43]),
        format!("pbkdf2_sha512$1000$s${base64}"),
        "$pbkdf2-sha256$1000$AAAA".to_owned(),
        "$pbkdf2-sha256$1000$AAAA$AAAA".to_owned(),
        "scrypt:32767:8:1$s$00".to_owned(),
        format!("scrypt:32768:8:1$s${}", &sha512[..126]),
        format!("scrypt:32768:8:0$s${sha512}"),
        format!("scrypt:32768:0:1$s${sha512}"),
        format!("scrypt:1:8:1$s${sha512}"),
        format!("scrypt:32768:8$s${sha512}"),
        format!("scrypt:32768:8:1:1$s${sha512}"),
        "scrypt:0:0:0$s$00".to_owned(),
        "scrypt$".to_owned(),
        format!("$2x$12${salt}{digest}"),
        format!("$2b$12${salt}{}", &digest[1..]),
        format!("$2b$12${salt}{digest}A"),
        format!("$2b$03${salt}{digest}"),
        format!("$2b$1${salt}{digest}A"),
        format!("$2b$+9${salt}{digest}"),
        format!("$2b$12${salt}{}é", &digest[2..]),
        format!("bcrypt_sha256${salt}"),
        "argon2$argon2id".to_owned(),
        "$argon2i$v=18$m=1024,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
            .to_owned(),
        "$argon2i$v=19$m=1024,t=1,p=1$c29tZXNhbHQ".to_owned(),
        // Django's mark of an account that has no password.
        "!sdfhkjshdfkjhsdkfjhskdjfh".to_owned(),
    ] {
        assert_eq!(refused(&bad), HashFault::Unknown, "{bad}");
    }
}

#[test]
fn debug_tells_neither_salt_nor_hash() {
    let sha256 = "ab".repeat(32);
    let stored = Stored::parse(&format!("pbkdf2:sha256:1000$pepper${sha256}")).expect("one");
    let told = format!("{stored:?}");
    assert!(!told.contains("pepper") && !told.contains("171"), "{told}");
}
