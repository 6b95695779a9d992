//! Registries whose entries lie: each is well-formed, with fields that somebody chose to do harm.
//! Never torn ones.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use pk_tests::{Ports, TestEnv};
use serde_json::Value;

use crate::dice::Dice;
use crate::options::Options;
use crate::row::{Needs, Outcome, Row};

pub(crate) const ROWS: &[Row] = &[Row {
    name: "f27",
    about: "entries whose fields were chosen to do harm: none does, and the others are as they were",
    needs: Needs::Nothing,
    run: lies,
}];

/// The fields of an entry; the last is not one of ours.
const FIELDS: [&str; 16] = [
    "id",
    "port",
    "host",
    "proto",
    "owner",
    "uid",
    "fence",
    "created",
    "kind",
    "netns",
    "timens",
    "expires_boot_ms",
    "process",
    "until",
    "control",
    "future",
];

/// What they may say instead, as JSON; `{precious}` is a file that is nobody's business.
const LIES: [&str; 32] = [
    r#""\u001b]0;x\u0007\u001b[2J""#,
    "\"\u{9b}31m\"",
    "\"\u{202e}\u{2028}\u{7f}\"",
    r#""a\nEVIL=1""#,
    r#""$(touch x)""#,
    r#""../../../../..""#,
    r#""{precious}""#,
    r#""/dev/zero""#,
    r#""""#,
    r#""0.0.0.0""#,
    r#""::1""#,
    r#""held""#,
    r#""guarded""#,
    r#""both""#,
    "0",
    "-0",
    "1",
    "-1",
    "65536",
    "8080.5",
    "1e400",
    "2147483648",
    "9223372036854775808",
    "18446744073709551615",
    "123456789012345678901234567890",
    "null",
    "true",
    "[]",
    "{}",
    r#"{"pid":1,"start":1,"pidns":1}"#,
    r#"{"$serde_json::private::Number":"1"}"#,
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
];

/// What is done beside them; `{range}`, and the `{port}` of the entry that lies, are filled in.
const COMMANDS: [&str; 9] = [
    "status",
    "status --format text",
    "reserve {range}",
    "gc",
    "release {port}",
    "release {port} --force",
    "release --owner shop",
    "doctor",
    "doctor --fix",
];

/// Nothing that an entry says keeps a command for longer.
const PATIENCE: Duration = Duration::from_secs(10);

fn lies(options: &Options) -> Outcome {
    let rounds = options.rounds([300, 2_000, 60_000]);
    let (env, ports, mut dice) = (TestEnv::new(), Ports::claim(16), options.dice(0));
    let precious = env.root().join("precious");
    fs::write(&precious, "precious\n").unwrap();
    let mut bystander = env.bystander();
    let book = Book::new(&env, &ports, bystander.id(), &precious);
    let (mut damaged, mut believed) = (0_u64, 0_u64);
    while let Some(round) = rounds.next() {
        let liar = dice.below(book.liars.len());
        let entry = spoilt(&book.liars[liar], &precious, &mut dice);
        fs::write(env.registry(), book.with(liar, &entry)).unwrap();
        let is_damaged = env.reservations().iter().any(|it| it["state"] == "damaged");
        *(if is_damaged {
            &mut damaged
        } else {
            &mut believed
        }) += 1;

        let port = ports.at(Book::FIRST_LIAR + liar as u16).to_string();
        let line = COMMANDS[round as usize % COMMANDS.len()];
        let words = line.replace("{range}", &ports.range());
        let answer = env.pk(words.replace("{port}", &port)).sane();
        let told = format!("{answer:?}\n{entry}");
        assert!(answer.took < PATIENCE, "{told}");
        let may_end = match line.split(' ').next() {
            Some("doctor") => &[0, 1][..],
            Some("release") => &[0, 4],
            _ => &[0],
        };
        assert!(
            answer.code.is_some_and(|code| may_end.contains(&code)),
            "{told}"
        );
        let now = fs::read_to_string(env.registry()).unwrap();
        assert!(now.contains(&book.witness), "{told}\n{now}");
        if is_damaged && !line.starts_with("release") && !line.ends_with("--fix") {
            assert!(now.contains(&entry), "{told}\n{now}");
        }
        assert_eq!(
            fs::read_to_string(&precious).unwrap(),
            "precious\n",
            "{told}"
        );
        assert_eq!(bystander.try_wait().unwrap(), None, "{told}");
    }
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    Ok(format!(
        "{} entries: {damaged} found damaged, {believed} believed, 0 did harm",
        rounds.done()
    ))
}

/// A registry that is whole: one entry that is left alone, and some that are to lie.
struct Book {
    head: String,
    witness: String,
    liars: Vec<String>,
}

impl Book {
    /// The index of the first port of an entry that is to lie.
    const FIRST_LIAR: u16 = 1;

    /// A lease, one that ends with `process`, and one that says to be held by it, with `precious` for
    /// a control socket.
    fn new(env: &TestEnv, ports: &Ports, process: u32, precious: &Path) -> Book {
        let kinds = [
            "--owner witness",
            "--owner shop",
            &format!("--owner shop --pid {process}"),
        ];
        for (kind, port) in kinds.iter().zip(ports.all()) {
            env.pk(format!("reserve --strict --preferred {port} {kind}"))
                .ok();
        }
        let text = fs::read_to_string(env.registry()).unwrap();
        let (head, entries) = text.split_once('\n').expect("two lines");
        let entries = entries.trim_end().strip_suffix("}}").expect("its end");
        let mut entries: Vec<String> = entries.split(",\n").map(str::to_owned).collect();
        let control = format!(",\"control\":\"{}\"}}", precious.display());
        let [guarded, held] = [2, 3].map(|index| ports.at(index).to_string());
        let mut forged = entries[2].replace(&guarded, &held);
        forged = forged.replace("\"leased\"", "\"held\"");
        forged = forged.replace("\"until\"", "\"process\"");
        forged.truncate(forged.len() - 1);
        entries.push(forged + &control);
        let liars = entries.split_off(1);
        Book {
            head: head.to_owned(),
            witness: entries.remove(0),
            liars,
        }
    }

    /// The whole text, with `entry` for one of those that lie.
    fn with(&self, liar: usize, entry: &str) -> String {
        let mut entries = vec![self.witness.as_str()];
        entries.extend(self.liars.iter().map(String::as_str));
        entries[1 + liar] = entry;
        format!("{}\n{}}}}}\n", self.head, entries.join(",\n"))
    }
}

/// `entry` with a lie or two: in the place of a field, beside it, as one more, or as its key.
fn spoilt(entry: &str, precious: &Path, dice: &mut Dice) -> String {
    let mut entry = entry.to_owned();
    for _ in 0..=dice.below(2) {
        let field = dice.pick(&FIELDS);
        let at = value(&entry, field);
        let mut lie = dice.pick(&LIES);
        // What is not of the kind that is expected there is hardly ever believed.
        while let Some(at) = &at
            && kind(lie) != kind(&entry[at.clone()])
            && dice.percent(80)
        {
            lie = dice.pick(&LIES);
        }
        let lie = match dice.below(20) {
            0 => format!("\"{}\"", "x".repeat(100_000)),
            _ => lie.replace("{precious}", &precious.to_string_lossy()),
        };
        match (dice.below(12), at) {
            (0, _) if lie.starts_with('"') => {
                let end = entry.find("\":{").expect("a key") + 1;
                entry.replace_range(..end, &lie);
            }
            (1, Some(at)) => entry.insert_str(at.end, &format!(",\"{field}\":{lie}")),
            (_, Some(at)) => entry.replace_range(at, &lie),
            (_, None) => {
                let begin = entry.find("\":{").expect("a key") + 3;
                entry.insert_str(begin, &format!("\"{field}\":{lie},"));
            }
        }
    }
    entry
}

/// Whether a text in JSON is a string, an object, or what else.
fn kind(json: &str) -> Option<u8> {
    json.bytes().next().filter(|byte| b"\"{".contains(byte))
}

/// Where the value of a field is.
fn value(entry: &str, field: &str) -> Option<Range<usize>> {
    let name = format!("\"{field}\":");
    let begin = entry.find(&name)? + name.len();
    let rest = &entry[begin..];
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    values.next()?.ok()?;
    Some(begin..begin + values.byte_offset())
}
