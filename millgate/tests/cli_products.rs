//! `millgate products`: the real binary against the real services, on both databases.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and speaks to whoever runs it"
)]

mod support;

use std::process::{Command, Output};

use support::process::binary;
use support::{ADMIN_PASSWORD, World};

on_both_databases!(products_go_out_and_come_in_as_a_file);

fn products(world: &World, args: &[&str]) -> Output {
    let url = |address: &str| format!("http://{address}");
    let mut command: Command = binary("millgate");
    command
        .arg("products")
        .args(args)
        .env("MILLGATE_SERVER", url(&world.addresses.auth))
        .env("MILLGATE_FACTORY", url(&world.addresses.factory))
        .env("MILLGATE_PASSWORD", ADMIN_PASSWORD);
    command.output().expect("it runs")
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

async fn products_go_out_and_come_in_as_a_file(world: World) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (first, out) = (path("first.csv"), path("out.csv"));
    let file = "sku,name,unit_price,currency,on_hand,description\n\
                M8,\"Bolt, long\",1.50,EUR,7,\"two\nlines\"\n\
                M6,Bolt,0.5,EUR,,\n";
    std::fs::write(&first, file).unwrap();

    let (code, said, _) = told(&products(&world, &["import", &first, "--dry-run"]));
    assert_eq!(code, Some(0));
    assert_eq!(
        said,
        "nothing was written: 2 rows, 2 made, 0 changed, 0 as they were, 0 refused\n"
    );
    let (code, said, _) = told(&products(&world, &["import", &first]));
    assert_eq!((code, said.starts_with("2 rows, 2 made")), (Some(0), true));

    let (code, said, _) = told(&products(&world, &["export", &out]));
    assert_eq!(
        (code, said.starts_with("2 products")),
        (Some(0), true),
        "{said}"
    );
    let written = std::fs::read_to_string(&out).unwrap();
    assert!(
        written.contains("M8,\"Bolt, long\",\"two\nlines\",1.50,EUR,7,active,0,0"),
        "{written}"
    );
    let (code, said, _) = told(&products(&world, &["import", &out]));
    assert_eq!(code, Some(0));
    assert_eq!(
        said,
        "2 rows, 0 made, 0 changed, 2 as they were, 0 refused\n"
    );

    // A row that is refused is told; of a file with rows that cannot be read, or columns that there are not, nothing is sent.
    let bad = path("bad.csv");
    std::fs::write(
        &bad,
        "sku,name,unit_price,currency\nM8,,1.00,EUR\nM5,Nut,2,EUR\n",
    )
    .unwrap();
    let (code, said, _) = told(&products(&world, &["import", &bad]));
    assert_eq!(code, Some(1));
    assert!(said.contains("row 1 (M8): FIELD_INVALID name"), "{said}");
    assert!(said.contains("2 rows, 1 made"), "{said}");
    let broken = path("broken.csv");
    std::fs::write(
        &broken,
        "sku,name,unit_price,currency\nM4,Pin,2,EUR\nM3,Pin,two,EUR\nM2,Pin,2,EUR,9\n",
    )
    .unwrap();
    let (code, said, complained) = told(&products(&world, &["import", &broken]));
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(complained.contains("row 2: unit_price"), "{complained}");
    assert!(complained.contains("row 3: "), "{complained}");
    assert!(
        complained.contains("2 of 3 rows cannot be read"),
        "{complained}"
    );
    let misspelt = path("misspelt.csv");
    std::fs::write(
        &misspelt,
        "sku,name,unit_price,currency,State\nM8,Bolt,1.50,EUR,inactive\n",
    )
    .unwrap();
    for dry_run in [&["--dry-run"][..], &[]] {
        let import = [&["import", misspelt.as_str()][..], dry_run].concat();
        let (code, said, complained) = told(&products(&world, &import));
        assert_eq!((code, said.as_str()), (Some(1), ""));
        assert!(complained.contains("no column `State`"), "{complained}");
    }
    let (_, said, _) = told(&products(&world, &["export", &out]));
    assert!(
        said.starts_with("3 products"),
        "nothing of the broken file: {said}"
    );
    let written = std::fs::read_to_string(&out).unwrap();
    assert!(written.contains("M8,\"Bolt, long\","), "{written}");
}
