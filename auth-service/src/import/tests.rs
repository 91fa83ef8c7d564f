use super::*;
use proptest::prelude::*;

fn read(text: &[u8], format: Format) -> Vec<Result<Parsed, String>> {
    let roles = RoleNames::parse(["staff=user"]).expect("good");
    match Reader::new(text, format, roles) {
        Ok(reader) => reader
            .map(|row| row.map_err(|fault| fault.to_string()))
            .collect(),
        Err(fault) => vec![Err(fault.to_string())],
    }
}

fn csv(text: &str) -> Vec<Result<Parsed, String>> {
    read(text.as_bytes(), Format::Csv)
}

fn json(text: &str) -> Vec<Result<Parsed, String>> {
    read(text.as_bytes(), Format::JsonLines)
}

fn good(row: &Result<Parsed, String>) -> &pb::ImportedUser {
    row.as_ref().expect("read on").as_ref().expect("a row")
}

fn bad(row: &Result<Parsed, String>) -> (i64, &str) {
    let bad = row.as_ref().expect("read on").as_ref().expect_err("bad");
    (bad.line, bad.field.as_str())
}

#[test]
fn a_csv_file_has_its_columns_in_any_order_and_its_lines_are_those_of_the_file() {
    let file = "\u{feff}email,username,password_hash,role,state,external_id,create_time\r\n\
        a@b.c,ada,hash,staff,active,7,2020-01-02T03:04:05Z\r\n\
        ,\"with \"\"quotes\"\",\r\na break\",hash,,,,\r\n\
        \r\n\
        ,bob,\"$2b$12$x,y\",admin,disabled,,\n";
    let rows = csv(file);
    assert_eq!(rows.len(), 3);
    let ada = good(&rows[0]);
    assert_eq!(
        (
            ada.line,
            ada.username.as_str(),
            ada.email.as_str(),
            ada.role()
        ),
        (2, "ada", "a@b.c", pb::Role::User)
    );
    assert_eq!(ada.create_time.map(|at| at.seconds), Some(1_577_934_245));
    let quoted = good(&rows[1]);
    assert_eq!(
        (quoted.line, quoted.username.as_str()),
        (3, "with \"quotes\",\r\na break")
    );
    assert_eq!(quoted.role(), pb::Role::Unspecified);
    let bob = good(&rows[2]);
    assert_eq!(
        (bob.line, bob.password_hash.as_str(), bob.state()),
        (6, "$2b$12$x,y", pb::UserState::Disabled)
    );
}

#[test]
fn a_bad_row_of_csv_is_told_by_its_line_and_the_rest_goes_on() {
    let mut file = b"username,password_hash,role,state,create_time\n\
        ada,hash,boss,,\n\
        ada,hash,,asleep,\n\
        ada,hash,,,yesterday\n\
        ada,hash\n\
        ada,hash,,,,\n"
        .to_vec();
    file.extend(b"\xff\xfe,hash,,,\nbob,hash,,,\n");
    let rows = read(&file, Format::Csv);
    let told: Vec<_> = rows[..6].iter().map(bad).collect();
    assert_eq!(
        told,
        [
            (2, "role"),
            (3, "state"),
            (4, "create_time"),
            (5, "row"),
            (6, "row"),
            (7, "row")
        ]
    );
    assert_eq!((good(&rows[6]).line, rows.len()), (8, 7));
}

#[test]
fn a_header_that_says_something_else_is_refused() {
    for (header, expected) in [
        ("", "no column `ada`"),
        ("username,email", "`password_hash` is missing"),
        ("username,password", "no column `password`"),
        ("username,username,password_hash", "`username` comes twice"),
        ("Username,password_hash", "no column `Username`"),
        ("{\"username\":\"ada\"}", "no column"),
    ] {
        let rows = csv(&format!("{header}\nada,hash\n"));
        let told = rows[0].as_ref().expect_err(header);
        assert!(told.contains(expected), "{header}: {told}");
    }
}

#[test]
fn a_quote_that_is_never_closed_does_not_fill_the_memory() {
    let file = format!(
        "username,password_hash\nada,hash\nbob,\"{}",
        "x,\n".repeat(2_000_000)
    );
    let rows = csv(&file);
    assert_eq!(good(&rows[0]).line, 2);
    assert!(
        rows[1]
            .as_ref()
            .expect_err("too long")
            .contains("more than")
    );
    assert_eq!(rows.len(), 2, "and that is all");
}

#[test]
fn json_lines_are_objects_of_texts() {
    let file = "\u{feff}{\"username\":\"ada\",\"password_hash\":\"h\",\"role\":\"staff\",\"external_id\":7}\r\n\
        \n  \n\
        {\"email\":\"a@b.c\",\"password_hash\":\"h\",\"username\":null,\"create_time\":\"2020-01-02T03:04:05.5+01:00\"}";
    let rows = json(file);
    assert_eq!(rows.len(), 2);
    let ada = good(&rows[0]);
    assert_eq!(
        (
            ada.line,
            ada.username.as_str(),
            ada.external_id.as_str(),
            ada.role()
        ),
        (1, "ada", "7", pb::Role::User)
    );
    let other = good(&rows[1]);
    assert_eq!((other.line, other.username.as_str()), (4, ""));
    assert_eq!(
        other.create_time.map(|at| (at.seconds, at.nanos)),
        Some((1_577_930_645, 500_000_000))
    );
}

#[test]
fn a_bad_line_of_json_is_told_and_what_stands_there_is_not() {
    let secret = "hunter2-hunter2";
    let lines = [
        secret.to_owned(),
        format!("\"{secret}\""),
        "[]".to_owned(),
        "{".to_owned(),
        "{} {}".to_owned(),
        format!("{{\"{secret}\":1}}"),
        format!("{{\"username\":[\"{secret}\"]}}"),
        format!("{{\"username\":17,\"password_hash\":\"{secret}\"}}"),
        format!("{{\"username\":\"a\",\"username\":\"{secret}\"}}"),
        format!("{{\"role\":\"{secret}\"}}"),
        "{\"state\":\"x\"}".to_owned(),
        "{\"username\":\"\u{0}\"}".to_owned(),
    ];
    let rows = json(&lines.join("\n"));
    assert_eq!(rows.len(), lines.len());
    for (row, number) in rows.iter().zip(1..) {
        assert_eq!(bad(row).0, number);
        assert!(!format!("{row:?}").contains(secret), "{row:?}");
    }
    assert!(
        json(&"x".repeat(100_000))[0]
            .as_ref()
            .expect_err("long")
            .contains("more than")
    );
    assert_eq!(json(&"{".repeat(60_000)).len(), 1, "deep, but no overflow");
}

#[test]
fn roles_of_another_system_are_mapped() {
    for (pairs, fault) in [
        (&["staff"][..], RoleNamesFault::Shape),
        (&["staff=boss"][..], RoleNamesFault::Unknown),
        (&["a=user", "a=admin"][..], RoleNamesFault::Twice),
    ] {
        assert_eq!(
            RoleNames::parse(pairs.iter().copied()).expect_err("bad"),
            fault
        );
    }
    let roles = RoleNames::parse(["user=customer", "=mechanic"]).expect("good");
    let file = "username,password_hash,role\nada,h,user\n";
    let mut rows = Reader::new(file.as_bytes(), Format::Csv, roles).expect("read");
    let ada = rows.next().expect("one").expect("read").expect("good");
    assert_eq!(ada.role(), pb::Role::Customer, "the mapping comes first");
}

#[test]
fn the_format_is_told_by_the_name() {
    for (name, format) in [
        ("users.csv", Some(Format::Csv)),
        ("USERS.CSV", Some(Format::Csv)),
        ("a.b.jsonl", Some(Format::JsonLines)),
        ("x.ndjson", Some(Format::JsonLines)),
        ("users.txt", None),
        ("csv", None),
    ] {
        assert_eq!(Format::of_name(name), format, "{name}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_rows_or_refused_and_the_lines_ascend(bytes in any::<Vec<u8>>(), is_csv in any::<bool>()) {
        let (format, head) = if is_csv {
            (Format::Csv, &b"username,password_hash\n"[..])
        } else {
            (Format::JsonLines, &b""[..])
        };
        let mut last = 0;
        for row in read(&[head, &bytes].concat(), format) {
            let Ok(row) = row else { break };
            let line = match row {
                Ok(user) => user.line,
                Err(bad) => bad.line,
            };
            prop_assert!(line > last, "{line} after {last}");
            last = line;
        }
    }
}
