//! What Rust code may say where: words that belong to a few files. Looks at code alone; comments,
//! strings and characters are blanked first, so that prose stays free.

use super::Finding;

/// Words and where in the tree they may stand.
struct Rule {
    words: &'static [&'static str],
    /// Whether the rule is about this file at all.
    about: fn(&str) -> bool,
    /// Whether this file is a home of the words.
    home: fn(&str) -> bool,
    instead: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        words: &["unsafe"],
        about: |_| true,
        home: |path| path.contains("/sys/") || path.ends_with("/sys.rs"),
        instead: "use rustix or socket2, or move the call to sys/",
    },
    Rule {
        words: &["Serialize", "Deserialize"],
        about: in_a_library,
        home: |path| {
            ["/format.rs", "/format/record.rs", "/journal.rs", "/message.rs"]
                .iter()
                .any(|name| path.ends_with(name))
                || path.starts_with("crates/pk-cli/src/output/")
                // A door for tests, which names what those rooms have.
                || path == "crates/portkeeper/src/fuzzing.rs"
        },
        instead: "keep domain types plain; the stored shape lives in format.rs",
    },
    Rule {
        words: &["directories::"],
        about: in_a_library,
        home: |path| path == "crates/portkeeper/src/places.rs",
        instead: "ask portkeeper's places",
    },
    Rule {
        words: &["tracing_subscriber"],
        about: in_a_library,
        home: |path| path == "crates/pk-cli/src/logging.rs",
        instead: "set logging up in pk-cli's logging.rs",
    },
    Rule {
        words: &["env::var", "env::var_os", "env::vars", "env::vars_os"],
        about: in_a_library,
        home: |path| {
            path.starts_with("crates/pk-cli/")
                || path.starts_with("crates/pk-python/")
                || path == "crates/portkeeper/src/places.rs"
                // Tests tell processes what to do and where to stumble.
                || path.ends_with("tests.rs")
                || path == "crates/pk-fs/src/failpoint.rs"
        },
        instead: "take the value as a parameter",
    },
];

/// Checks one Rust file, by its path from the root of the workspace.
pub(super) fn check(path: &str, text: &str) -> Vec<Finding> {
    let code = code_of(text);
    let rules: Vec<_> = RULES
        .iter()
        .filter(|rule| (rule.about)(path) && !(rule.home)(path))
        .collect();
    let mut findings = Vec::new();
    for (code, line) in code.lines().zip(1..) {
        for rule in &rules {
            if let Some(word) = rule.words.iter().find(|word| has_word(code, word)) {
                findings.push(Finding {
                    path: path.to_owned(),
                    line,
                    what: format!("`{word}` is at home elsewhere"),
                    instead: rule.instead,
                });
            }
        }
    }
    findings
}

fn in_a_library(path: &str) -> bool {
    path.starts_with("crates/") && path.contains("/src/")
}

/// Whether `code` has `word` as a whole word.
fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let after = &code[at + word.len()..];
        !code[..at].ends_with(part) && (word.ends_with(':') || !after.starts_with(part))
    })
}

/// `text` without its comments and the insides of its strings, line for line.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let skipped = match next {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => raw_string(rest),
            'b' if rest.starts_with("br") => 1 + raw_string(&rest[1..]),
            '\'' => character(rest),
            _ => 0,
        };
        let (gone, kept) = if skipped == 0 {
            ("", next.len_utf8())
        } else {
            (&rest[..skipped], 0)
        };
        code.extend(gone.matches('\n'));
        code.push_str(&rest[..kept]);
        rest = &rest[skipped + kept..];
    }
    code
}

/// The length of the string that starts `text`, with its quotes.
fn string(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '"' {
            return at + 1;
        }
        if c == '\\' {
            chars.next();
        }
    }
    text.len()
}

/// The length of the `r"…"` or `r#"…"#` that starts `text`; 0 if it is a name, such as `r#type`.
fn raw_string(text: &str) -> usize {
    let hashes = text[1..].bytes().take_while(|byte| *byte == b'#').count();
    let open = 1 + hashes;
    if !text[open..].starts_with('"') {
        return 0;
    }
    let close = format!("\"{}", "#".repeat(hashes));
    text[open + 1..]
        .find(&close)
        .map_or(text.len(), |at| open + 1 + at + close.len())
}

/// The length of the `/* … */` that starts `text`; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match rest {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of the character that starts `text`; 0 if it is a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => chars.find(|(_, c)| *c == '\'').map_or(0, |(at, _)| at + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_in_their_homes() {
        let check = |path: &str, text: &str, expect: &[usize]| {
            let lines: Vec<_> = check(path, text)
                .iter()
                .map(|finding| finding.line)
                .collect();
            assert_eq!(lines, expect, "{path}: {text}");
        };
        check(
            "crates/pk-core/src/hold.rs",
            "fn f() {\n    unsafe { g() }\n}",
            &[2],
        );
        check("crates/pk-core/src/sys/linux.rs", "unsafe { g() }", &[]);
        check(
            "xtask/src/main.rs",
            "#![forbid(unsafe_code)]\n/// unsafe\nlet a = \"unsafe\";",
            &[],
        );
        check(
            "crates/pk-registry/src/reservation.rs",
            "#[derive(Debug, Serialize)]",
            &[1],
        );
        check(
            "crates/pk-registry/src/reservation.rs",
            "use serde::Deserialize;",
            &[1],
        );
        check(
            "crates/pk-registry/src/format.rs",
            "#[derive(Serialize)]",
            &[],
        );
        check(
            "crates/pk-cli/src/output/json.rs",
            "#[derive(Serialize)]",
            &[],
        );
        check(
            "crates/pk-cli/src/commands/gc.rs",
            "#[derive(Serialize)]",
            &[1],
        );
        check("tests/src/lib.rs", "#[derive(Deserialize)]", &[]);
        check(
            "crates/portkeeper/src/keeper.rs",
            "directories::BaseDirs::new()",
            &[1],
        );
        check(
            "crates/portkeeper/src/places.rs",
            "use directories::BaseDirs;",
            &[],
        );
        check(
            "crates/pk-cli/src/main.rs",
            "tracing_subscriber::fmt()",
            &[1],
        );
        check(
            "crates/pk-cli/src/logging.rs",
            "tracing_subscriber::fmt()",
            &[],
        );
        check(
            "crates/pk-fs/src/lock.rs",
            "std::env::var_os(\"PORTKEEPER_X\")",
            &[1],
        );
        check(
            "crates/pk-fs/src/lock.rs",
            "env::var(name); env!(\"CARGO\")",
            &[1],
        );
        check("crates/pk-cli/src/main.rs", "env::vars_os()", &[]);
    }

    #[test]
    fn only_code_is_looked_at() {
        let check = |text: &str, expect: &str| assert_eq!(code_of(text), expect);
        check("a // b\nc", "a \nc");
        check("a /* b /* c\n */ d */ e", "a \n e");
        check(r#"f("a \" // b", c)"#, "f(, c)");
        check("f(\"a\nb\")\n", "f(\n)\n");
        check(r####"f(r#"a " b"#, r"\", br"c")"####, "f(, , )");
        check("r#type + for\"x\"", "r#type + for");
        check("f('\"', '\\'', '\\u{1b}', 'ä')", "f(, , , )");
        check("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}");
        check("\"open", "");
    }
}
