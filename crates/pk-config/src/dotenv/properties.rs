//! What holds of any `.env` file and any edit.

use proptest::prelude::*;

use super::*;

/// Lines such as people write, and such as nobody should.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let fragment = prop::sample::select(vec![
        &b"A"[..],
        b"B",
        b"=",
        b"'",
        b"\"",
        b"`",
        b" ",
        b"\t",
        b"#",
        b"\\",
        b"export ",
        b"1",
        b"$X",
        b"\r",
        b"\xff",
        b":",
        b"\n",
        b"A=",
        b"B=\"",
    ]);
    let wild = prop::collection::vec(fragment, 0..8).prop_map(|parts| parts.concat());
    let value = prop_oneof![
        "[a-z0-9 #$'\"`\\\\]{0,8}",
        "'[a-z #\n]{0,6}'",
        "\"[a-z #\n]{0,6}\""
    ];
    let tame = ("( |export )?", "[ABC]", "( ?= ?)", value, "( # c)?").prop_map(
        |(indent, key, equals, value, comment)| {
            format!("{indent}{key}{equals}{value}{comment}").into_bytes()
        },
    );
    prop_oneof![wild, tame]
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let ended = (line(), prop_oneof![Just("\n"), Just("\r\n")])
        .prop_map(|(line, end)| [line, end.into()].concat());
    (
        prop::option::of(Just(BOM.to_vec())),
        prop::collection::vec(ended, 0..6),
        line(),
    )
        .prop_map(|(mark, lines, last)| [mark.unwrap_or_default(), lines.concat(), last].concat())
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[0-9]{1,5}", "[ -~é\n\t]{0,8}", "[a-z'\"`$\\\\{ #\n]{0,5}"]
}

/// The bytes of a file that no edit of `key` may touch: all but the values.
fn frame<'f>(file: &'f EnvFile, key: &str) -> Vec<&'f [u8]> {
    let mut frame = Vec::new();
    let mut at = 0;
    for found in file.assignments(key) {
        frame.push(&file.bytes[at..found.value.start()]);
        at = found.value.end();
    }
    frame.push(&file.bytes[at..]);
    frame
}

fn trim(mut text: &[u8], start: bool, end: bool) -> &[u8] {
    while start && text.first().is_some_and(|&byte| parse::is_blank(byte)) {
        text = &text[1..];
    }
    while end && text.last().is_some_and(|&byte| parse::is_blank(byte)) {
        text = &text[..text.len() - 1];
    }
    text
}

proptest! {
    #[test]
    fn statements_are_the_file(bytes in file()) {
        if let Ok(file) = EnvFile::parse(&bytes) {
            let mark = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
            let spans = file.statements.iter().map(|statement| statement.span.of(&bytes));
            prop_assert_eq!(spans.collect::<Vec<_>>().concat(), &bytes[mark..]);
        }
    }

    #[test]
    fn an_edit_reads_back_and_keeps_all_else(bytes in file(), key in "[ABD]", value in value()) {
        let Ok(before) = EnvFile::parse(&bytes) else { return Ok(()) };
        let Ok(after) = before.clone().set(&key, &value).cloned() else { return Ok(()) };
        let read = after.get(&key);
        prop_assert_eq!(read.as_deref(), Some(value.as_bytes()));
        prop_assert_eq!(EnvFile::parse(after.as_bytes()).unwrap().statements, after.statements.clone());
        let again = after.clone().set(&key, &value).unwrap().to_bytes();
        prop_assert_eq!(&again, after.as_bytes());
        if before.occurrences(&key) > 0 {
            let (old, new) = (frame(&before, &key), frame(&after, &key));
            prop_assert_eq!(old.len(), new.len());
            let last = old.len() - 1;
            for (index, (old, new)) in old.iter().zip(&new).enumerate() {
                // Blanks behind a bare value may go, and those in the place of an empty one.
                let mut trimmed = (trim(old, index > 0, false), trim(new, index > 0, false));
                if value.is_empty() && index < last {
                    trimmed = (trim(old, index > 0, true), trim(new, index > 0, true));
                }
                prop_assert_eq!(trimmed.0, trimmed.1);
                prop_assert!(index == 0 || old.ends_with(new) || value.is_empty());
            }
        } else if before.statements.iter().all(|found| found.key(&bytes) != Some(key.as_bytes())) {
            prop_assert!(after.as_bytes().starts_with(&bytes));
            let removed = after.clone().unset(&key).unwrap().to_bytes();
            prop_assert!(removed.starts_with(&bytes) && removed.len() <= bytes.len() + 4);
        }
        for other in ["A", "B", "C"].into_iter().filter(|other| *other != key) {
            prop_assert_eq!(before.get(other), after.get(other));
        }
    }

    #[test]
    fn an_unset_key_is_gone_and_all_else_stays(bytes in file(), key in "[ABD]") {
        let Ok(before) = EnvFile::parse(&bytes) else { return Ok(()) };
        let Ok(after) = before.clone().unset(&key).cloned() else { return Ok(()) };
        prop_assert_eq!(after.get(&key), None);
        let is_other = |found: &&Statement| found.key(&bytes) != Some(key.as_bytes());
        let kept: Vec<u8> = before.statements.iter().filter(is_other)
            .flat_map(|statement| statement.span.of(&bytes)).copied().collect();
        prop_assert!(after.as_bytes().ends_with(&kept));
        prop_assert!(after.as_bytes().len() - kept.len() <= BOM.len());
    }
}
