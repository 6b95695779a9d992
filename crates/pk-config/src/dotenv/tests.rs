//! Files before and after an edit, byte for byte.

use super::*;

fn set(before: &str, key: &str, value: &str) -> Result<String, Error> {
    let bytes = EnvFile::parse(before.as_bytes())?
        .set(key, value)?
        .to_bytes();
    Ok(String::from_utf8(bytes).unwrap())
}

#[test]
fn a_value_is_replaced_in_place() {
    let check = |before: &str, value: &str, expect: &str| {
        assert_eq!(
            set(before, "A", value).as_deref(),
            Ok(expect),
            "{before:?} + {value:?}"
        );
    };
    check("A=1\n", "2", "A=2\n");
    check("A=1", "2", "A=2");
    check("A=1\r\nB=2\r\n", "3", "A=3\r\nB=2\r\n");
    check("\u{feff}A=1\n", "2", "\u{feff}A=2\n");
    check("  export \t A = 1  # c\n", "2", "  export \t A = 2  # c\n");
    check("A=1#c\n", "2", "A=2\n");
    check("A=#c\n", "2", "A=2\n");
    check("A= #c\n", "2", "A=2 #c\n");
    check("A=   # c\n", "v", "A=v   # c\n");
    check("A=\t# c\n", "v", "A=v\t# c\n");
    check("A=   \n", "v", "A=v\n");
    check("A=   \n", "v w", "A='v w'\n");
    check("A=b  \nB=1\n", "2", "A=2\nB=1\n");
    check("A=b c # d # e\n", "2", "A=2 # d # e\n");
    check("A='1' # c\n", "2", "A='2' # c\n");
    check("A=\"1\" # c\n", "2", "A=\"2\" # c\n");
    check("A='1'  \n", "2", "A='2'  \n");
    check("A='1'\n", "", "A=''\n");
    check("A = 1 \n", "", "A =\n");
    check("A = 1 # c\n", "", "A = '' # c\n");
    check("A= 1 # it's\n", "", "A= '' # it's\n");
    check("A=1\r", "2", "A=2\r");
    check("A='1'\n", "it's", "A=\"it's\"\n");
    check("A=\"1\"\n", "a\"b", "A='a\"b'\n");
    check("A=`1` # c\n", "2", "A=2 # c\n");
    check("A='x'#c\n", "2", "A=2\n");
    check("A='it's'\n", "2", "A=2\n");
    check("A='it\\'s' # c\n", "2", "A='2' # c\n");
    check("A=\"a\\\"b\" # c\n", "2", "A=\"2\" # c\n");
    check("A=\"l1\nl2\" # c\nB=1\n", "2", "A=\"2\" # c\nB=1\n");
    check("A='l1\nl2'\nB=1\n", "2", "A='2'\nB=1\n");
    check("A=1\n", "l1\nl2", "A=\"l1\nl2\"\n");
    check("A='C:\\' # c\n", "2", "A='2' # c\n");
    check("export=1\nA=1\n", "2", "export=1\nA=2\n");
    check("AA=1\nA=1\n", "2", "AA=1\nA=2\n");
    check("A=o\\\"\nB=\"x\"\n", "2", "A=2\nB=\"x\"\n");
}

#[test]
fn every_occurrence_is_replaced() {
    let check = |before: &str, value: &str, expect: &str| {
        assert_eq!(
            set(before, "A", value).as_deref(),
            Ok(expect),
            "{before:?} + {value:?}"
        );
    };
    check("A=1\nB=1\nA='2' # c\n", "3", "A=3\nB=1\nA='3' # c\n");
    check("A\n", "1", "A=1\n");
    check("export A # c\n", "1", "export A=1 # c\n");
    check("A=1\nexport A\n", "2", "A=2\nexport A\n");
    check("A=1\nA=2\n", "1", "A=1\nA=1\n");
}

#[test]
fn a_missing_key_is_appended() {
    let check = |before: &str, expect: &str| {
        assert_eq!(set(before, "A", "1").as_deref(), Ok(expect), "{before:?}");
    };
    check("", "A=1\n");
    check("\u{feff}", "\u{feff}A=1\n");
    check("B=1", "B=1\nA=1\n");
    check("B=1\r\n", "B=1\r\nA=1\r\n");
    check("B=1\r\nC=1\n", "B=1\r\nC=1\nA=1\n");
    check("B=1\r\nC=1\r\nD=1", "B=1\r\nC=1\r\nD=1\r\nA=1\r\n");
    check("B=1\r", "B=1\r\nA=1\n");
    check(
        "export B=1\nexport C=1\n",
        "export B=1\nexport C=1\nexport A=1\n",
    );
    check("export B=1\nC=1\n", "export B=1\nC=1\nA=1\n");
    check("# A=1\n", "# A=1\nA=1\n");
    check("B=C:\\\n", "B=C:\\\n\nA=1\n");
    check("B=C:\\", "B=C:\\\n\nA=1\n");
    check("B=C:\\\n\n", "B=C:\\\n\nA=1\n");
    for opaque in [
        "A: 2\n",
        "'A'=2\n",
        "set A=2\n",
        "[A]\n",
        "; A=2\n",
        "A+=2\n",
        "A#c\n",
        "exportA=2\n",
        "B=\"x\nA=2\n\"\n",
    ] {
        check(opaque, &format!("{opaque}A=1\n"));
    }
}

#[test]
fn a_value_that_is_there_stays() {
    let check = |before: &str, value: &str| {
        assert_eq!(
            set(before, "A", value).as_deref(),
            Ok(before),
            "{before:?} + {value:?}"
        );
    };
    check("A=1\n", "1");
    check("A='1'\n", "1");
    check("A=\"1\" # c\nA =1", "1");
    check("A=\n", "");
    check("A=''\n", "");
    check("A=b c\n", "b c");
    check("A=b c # d\n", "b c");
    check("A=\"it's\"\n", "it's");
}

/// Equal for one reader, another value for the next: written in a form that all read.
#[test]
fn a_disputed_value_is_written_anew() {
    let check = |before: &str, value: &str, expect: &str| {
        assert_eq!(
            set(before, "A", value).as_deref(),
            Ok(expect),
            "{before:?} + {value:?}"
        );
    };
    check("A=1#c\n", "1#c", "A='1#c'\n");
    check("A=$X\n", "$X", "A='$X'\n");
    check("A='it\\'s'\n", "it's", "A=\"it's\"\n");
    check("A=`a`\n", "a", "A=a\n");
    check("A= # c\n", "", "A='' # c\n");
    check("export A # c\n", "", "export A='' # c\n");
    // There is no form that all read.
    let refused = set("A='C:\\' # c\n", "A", "C:\\");
    assert!(
        matches!(refused, Err(Error::NotPortable { .. })),
        "{refused:?}"
    );
}

#[test]
fn the_form_is_the_one_that_all_read() {
    let check = |value: &str, expect: &str| {
        assert_eq!(
            set("", "A", value),
            Ok(format!("A={expect}\n")),
            "{value:?}"
        );
    };
    check("", "");
    check("8080", "8080");
    check("127.0.0.1:8080", "127.0.0.1:8080");
    check("http://u:p@h:1/p?q", "'http://u:p@h:1/p?q'");
    check(
        "postgres://u:p@h:1/p,x=1%20+-",
        "postgres://u:p@h:1/p,x=1%20+-",
    );
    check("b c", "'b c'");
    check("a#b", "'a#b'");
    check("~", "'~'");
    check("a\"b`c", "'a\"b`c'");
    check("C:\\dir", "'C:\\dir'");
    check("it's", "\"it's\"");
    check("it's\nme", "\"it's\nme\"");
    check("tab\there", "'tab\there'");
    check("a$X", "'a$X'");
    check("é", "'é'");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let check = |key: &str, value: &str, expect: Error| {
        for before in ["", "A=1\n", "A='1'\n", "A=\"1\"\n"] {
            assert_eq!(
                set(before, key, value),
                Err(expect.clone()),
                "{key:?}={value:?}"
            );
        }
    };
    for key in ["", "1A", "A.B", "A-B", "A=B", "A B", "É", "A\n"] {
        check(key, "1", Error::InvalidKey { key: key.into() });
    }
    for character in ['\0', '\r', '\u{1b}', '\u{7f}'] {
        let value = format!("a{character}b");
        check(
            "A",
            &value,
            Error::InvalidValue {
                key: "A".into(),
                character,
            },
        );
    }
    let refused = |value: &str, expect: &[char], reader: &str| match set("", "A", value) {
        Err(Error::NotPortable {
            characters,
            readers,
            ..
        }) => {
            assert_eq!(characters, expect, "{value:?}");
            assert!(readers.contains(&reader), "{value:?}: {readers:?}");
        }
        answer => panic!("{value:?}: {answer:?}"),
    };
    refused("it's \"x\"", &['"', '\''], "npm dotenv");
    refused("it's $5", &['$', '\''], "Node");
    refused("a\\\\b", &['\\'], "python-dotenv");
    refused("C:\\", &['\\'], "Docker Compose");
    refused("${X}", &['$', '{'], "Vite");
    refused("a\n$X", &['\n', '$'], "Bun");
    assert_eq!(
        set("", "A", "a\n$X").unwrap_err().to_string(),
        "the value of A holds a line end $, which Bun, Deno, Node, dotenvx, npm dotenv would misread"
    );
}

#[test]
fn an_unsound_file_is_refused() {
    let check = |before: &[u8], expect: &str| {
        let answer = EnvFile::parse(before).and_then(|mut file| file.set("A", "2").cloned());
        assert_eq!(answer.unwrap_err().to_string(), expect, "{before:?}");
    };
    check(b"B=1\n A=\"x\nC=1\n", "2:4: a quote that is never closed");
    check(b"A='x\n", "1:3: a quote that is never closed");
    check(b"A=\"x\\\"\n", "1:3: a quote that is never closed");
    let ambiguous =
        |line, why| format!("line {line}: the end of the value of A is ambiguous: {why}");
    let backslash = "it ends in a backslash, after which a shell goes on with the next line";
    check(b"B=1\nA=C:\\\nC=1\n", &ambiguous(2, backslash));
    check(b"A=1\rB=2\n", &ambiguous(1, "a carriage return inside"));
    check(
        b"A=`x\ny`\n",
        &ambiguous(1, "a backtick that is not closed on its line"),
    );
    let goes_on = "a quote that is closed further on";
    check(b"A=\"x\ny\"z\n", &ambiguous(1, goes_on));
    check(b"B=1\nA='x\ny' z\n", &ambiguous(2, goes_on));
    check(b"A=o\"\n\"\n", &ambiguous(1, goes_on));
    check(b"A=1\\x\"\n\"\n", &ambiguous(1, goes_on));
    let blank = "a blank that is neither a space nor a tab, and that only some readers skip";
    check(b"\rA=1\nA=1\n", &format!("1:1: {blank}"));
    check("B=1\n\u{a0}A=1\n".as_bytes(), &format!("2:1: {blank}"));
    check(b"export\x0bA = 1\n", &format!("1:1: {blank}"));
    let encoding = "not a text of ASCII characters or an encoding that includes them: ";
    check(b"\xff\xfeA\0=\0", &format!("{encoding}UTF-16 or UTF-32"));
    check(b"\xfe\xff\0A\0=", &format!("{encoding}UTF-16 or UTF-32"));
    check(b"A\0=\0", &format!("{encoding}NUL bytes"));
}

#[test]
fn sixteen_mebibytes_and_no_more() {
    let mut file = EnvFile::parse(&[b'#'; MAX_BYTES]).unwrap();
    let too_large = |answer: Result<EnvFile, Error>, expect| {
        let refused = matches!(answer, Err(Error::TooLarge { bytes }) if bytes == expect);
        assert!(refused, "{expect}: {:?}", answer.map(drop));
    };
    too_large(EnvFile::parse(&[b'#'; MAX_BYTES + 1]), MAX_BYTES + 1);
    too_large(file.set("A", "1").cloned(), MAX_BYTES + "\nA=1\n".len());
}

#[test]
fn an_edit_that_would_change_other_lines_is_refused() {
    let before = "A='it\nB='x'\nC=1\n";
    assert!(matches!(
        set(before, "B", " #c"),
        Err(Error::Ambiguous { .. })
    ));
    assert_eq!(set(before, "B", "y").as_deref(), Ok("A='it\nB='y'\nC=1\n"));
    // To some this is one value of two lines.
    assert!(matches!(
        set(before, "A", "y"),
        Err(Error::Ambiguous { .. })
    ));
    // The mark would be at the beginning of the file, and no part of a name any more.
    for (before, key) in [(before, "B"), ("A\n\u{feff}T=", "A")] {
        let mut file = EnvFile::parse(before.as_bytes()).unwrap();
        let answer = file.unset(key).cloned();
        assert!(matches!(answer, Err(Error::Ambiguous { .. })), "{answer:?}");
    }
}

#[test]
fn unset_removes_whole_statements_and_nothing_else() {
    let check = |before: &str, expect: &str| {
        let after = EnvFile::parse(before.as_bytes())
            .unwrap()
            .unset("A")
            .unwrap()
            .to_bytes();
        assert_eq!(String::from_utf8(after).unwrap(), expect, "{before:?}");
    };
    check("", "");
    check("\n\n# c\nA=1 # d\n\nB=1\n", "\n\n# c\n\nB=1\n");
    check("A=1\nB=1\nexport A=2\nA\n", "B=1\n");
    check("A=\"l1\nl2\" # c\nB=1\n", "B=1\n");
    check("B=1\nA=1", "B=1\n");
    check("\u{feff}A=1\r\nB=1\r\n", "\u{feff}B=1\r\n");
    check("# A=1\nA: 1\n", "# A=1\nA: 1\n");
}

#[test]
fn values_are_read_as_most_readers_do() {
    let check = |before: &[u8], expect: Option<&[u8]>| {
        let file = EnvFile::parse(before).unwrap();
        assert_eq!(file.get("A").as_deref(), expect, "{before:?}");
    };
    check(b"", None);
    check(b"A\n", None);
    check(b"A=\n", Some(b""));
    check(b"A=1\nA=2\n", Some(b"2"));
    check(b"A = b c # d\n", Some(b"b c"));
    check(b"A='a\\nb'\n", Some(b"a\\nb"));
    check(b"A=\"a\\n\\$b\\q\"\n", Some(b"a\n$b\\q"));
    check(b"A=\"a\\r\\tb\"\n", Some(b"a\r\tb"));
    check(b"A='it\\'s'\n", Some(b"it's"));
    check(b"A=`a'\"b`\n", Some(b"a'\"b"));
    check(b"A=`a`b\n", Some(b"`a`b"));
    check(b"A='it\\'s'b\n", Some(b"'it\\'s'b"));
    check(b"A=\xff\xe9\n", Some(b"\xff\xe9"));
}

#[test]
fn warnings_name_what_readers_stumble_over() {
    let check = |before: &str, expect: &[Warning]| {
        assert_eq!(
            EnvFile::parse(before.as_bytes()).unwrap().warnings("A"),
            expect,
            "{before:?}"
        );
    };
    let key = || "A".to_owned();
    check("A=1 # c\nB = 1\n", &[]);
    check("A=1\r\n", &[Warning::CarriageReturns]);
    check("\u{feff}A=1\n", &[Warning::ByteOrderMark]);
    check("A =1\n", &[Warning::BlanksAroundEquals { key: key() }]);
    check("A= 1\n", &[Warning::BlanksAroundEquals { key: key() }]);
    check("A='$x'\n", &[Warning::DollarNotPortable { key: key() }]);
    let said = |warning: Warning| warning.to_string();
    assert_eq!(
        [
            said(Warning::CarriageReturns),
            said(Warning::ByteOrderMark),
            said(Warning::BlanksAroundEquals { key: key() }),
            said(Warning::DollarNotPortable { key: key() }),
        ],
        [
            "the file has CRLF line ends: sh reads a carriage return into each value",
            "the file begins with a byte-order mark: sh, dotenvy and godotenv reject it",
            "A has blanks round its =: sh and docker reject it",
            "the value of A holds a $: Vite, Next.js and Bun expand it",
        ]
    );
}

#[test]
fn keys_are_those_with_a_value_as_often_as_they_have_one() {
    let file = EnvFile::parse(b"B=1\nexport A=2\nC\n# D=1\nB='3'\n").unwrap();
    assert_eq!(file.keys().collect::<Vec<_>>(), ["B", "A", "B"]);
}
