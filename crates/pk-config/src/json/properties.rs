//! What holds of any document and any edit.

use proptest::prelude::*;

use super::*;

fn blanks() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "",
        "",
        " ",
        "\n",
        "\n  ",
        "\r\n\t",
        " // c\n",
        "/* c */",
        "\n // d\n ",
    ])
    .prop_map(Into::into)
}

/// Text of a value, laid out in any way.
fn text() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "1.0",
        "-0",
        "1e400",
        "\"x\"",
        "\"\\u0041\\/\"",
        "null",
        "true",
    ]);
    let name = || prop::sample::select(vec!["a", "b", "c", "\\u0061", "0", ""]);
    leaf.prop_map(String::from)
        .prop_recursive(3, 16, 4, move |inner| {
            let trailing = prop::sample::select(vec!["", "", ","]);
            let member = (
                blanks(),
                name(),
                blanks(),
                blanks(),
                inner.clone(),
                blanks(),
            )
                .prop_map(|(a, name, b, c, value, d)| format!("{a}\"{name}\"{b}:{c}{value}{d}"));
            let element =
                (blanks(), inner, blanks()).prop_map(|(a, value, b)| format!("{a}{value}{b}"));
            let list = |open: char, close: char| {
                move |(items, comma, end): (Vec<String>, &str, String)| {
                    let comma = if items.is_empty() { "" } else { comma };
                    format!("{open}{}{comma}{end}{close}", items.join(","))
                }
            };
            prop_oneof![
                (
                    prop::collection::vec(member, 0..4),
                    trailing.clone(),
                    blanks()
                )
                    .prop_map(list('{', '}')),
                (prop::collection::vec(element, 0..4), trailing, blanks()).prop_map(list('[', ']')),
            ]
        })
}

fn document() -> impl Strategy<Value = String> {
    let mark = prop::sample::select(vec!["", "", "\u{feff}"]);
    (mark, blanks(), text(), blanks()).prop_map(|(mark, a, text, b)| format!("{mark}{a}{text}{b}"))
}

proptest! {
    #[test]
    fn f35_an_edit_reads_back_and_keeps_all_else(
        before in document(),
        pointer in "(/(a|b|c|0|1|-|)){0,3}",
        value in text(),
    ) {
        let mut file = JsonFile::parse(before.as_bytes()).unwrap();
        let value: Value = value.parse().unwrap();
        // What stands before the value and behind it.
        let frame = file.get(&pointer).ok().flatten().map(|old| {
            let start = old.as_ptr().addr() - file.text.as_ptr().addr();
            (file.text[..start].to_owned(), file.text[start + old.len()..].to_owned())
        });
        if file.set(&pointer, value.clone()).is_err() {
            prop_assert_eq!(file.to_bytes(), before.as_bytes());
            return Ok(());
        }
        let after = String::from_utf8(file.to_bytes()).unwrap();
        if !pointer.contains('-') {
            let read = file.get(&pointer).unwrap().unwrap().parse::<Value>().unwrap();
            prop_assert_eq!(&read, &value);
            file.set(&pointer, value).unwrap();
            prop_assert_eq!(file.to_bytes(), after.as_bytes());
        }
        let text = after.trim_start_matches('\u{feff}');
        match frame {
            Some((front, back)) => prop_assert!(text.starts_with(&front) && text.ends_with(&back)),
            // Nothing was removed but blanks between brackets.
            None => prop_assert!(is_subsequence(&before, &after)),
        }
    }
}

/// Whether all that says something in `before` is in `after`, in that order.
fn is_subsequence(before: &str, after: &str) -> bool {
    let mut after = after.chars();
    before
        .chars()
        .filter(|character| !character.is_whitespace())
        .all(|one| after.any(|other| one == other))
}
