//! No file makes the reader of imports panic, and its lines ascend.
#![no_main]

use auth_service::import::{Format, Reader, RoleNames};

libfuzzer_sys::fuzz_target!(|input: (bool, &[u8])| {
    let (is_csv, file) = input;
    let format = if is_csv { Format::Csv } else { Format::JsonLines };
    let Ok(rows) = Reader::new(file, format, RoleNames::default()) else {
        return;
    };
    let mut last = 0;
    for row in rows {
        let Ok(row) = row else { return };
        let line = row.map_or_else(|bad| bad.line, |user| user.line);
        assert!(line > last, "{line} after {last}");
        last = line;
    }
});
