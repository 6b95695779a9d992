//! Values that try to be more than values.

use std::fs;

use super::{Files, step};
use pk_tests::{Answer, TestEnv, has, skipped};

/// What is in each of them would make a file, or another variable, if it were ever more than a value.
const ATTACKS: [&str; 12] = [
    "$(touch made)",
    "`touch made`",
    "'; touch made; '",
    "\"; touch made; \"",
    "'$(touch made)'",
    "a\\'; touch made; \\'",
    "\\",
    "a' 'b\" \\\"",
    "; touch made #",
    "(touch made)",
    "a<<EOF",
    "=a !! $EVIL ${EVIL} %s ~ * ? [a] {a,b}",
];

/// Those of several lines.
const LINES: [&str; 5] = [
    "a\nEVIL=1",
    "a\nEND\nEVIL=1",
    "a\nEND\nEND_\nEVIL<<END\n1\nEND",
    "EOF\n'; touch made; '\nexport EVIL=1",
    "\n\n",
];

/// A project with a variable of this value.
fn project(value: &str) -> TestEnv {
    let env = TestEnv::new();
    // Every such text is one in TOML, too, but for what TOML's own escapes say better.
    let escaped: String = value.chars().flat_map(char::escape_unicode).collect();
    let escaped = escaped.replace("\\u{", "\\U");
    let mut text = String::new();
    for part in escaped.split("\\U").skip(1) {
        text += &format!("\\U{:0>8}", part.trim_end_matches('}'));
    }
    let text = text.replace("\\U00000024\\U0000007b", "$$\\U0000007b");
    fs::write(
        env.path("portkeeper.toml"),
        format!("[ports.web]\n[vars]\nSAID = \"{text}\"\n"),
    )
    .unwrap();
    env
}

fn in_shell(env: &TestEnv, shell: &[&str], script: &str) -> Answer {
    let mut command = env.command(shell[0]);
    command.args(&shell[1..]).args(["-c", script]);
    env.run(command).ok()
}

#[test]
fn shells_read_values_as_they_are() {
    let shells: [&[&str]; 6] = [
        &["sh"],
        &["dash"],
        &["bash"],
        &["busybox", "sh"],
        &["zsh", "-f"],
        &["zsh", "-f", "-o", "rcquotes"],
    ];
    for shell in shells {
        if !has(shell[0]) {
            skipped(format_args!("values in a shell: no {}", shell[0]));
            continue;
        }
        for value in ATTACKS.iter().chain(&LINES) {
            let env = project(value);
            let script = "eval \"$(portkeeper prepare --format shell)\"
                          printf '%s|' \"$SAID\" \"${EVIL-none}\"; env | grep -c '^WEB_PORT=[0-9]*$'";
            let answer = in_shell(&env, shell, script);
            assert_eq!(answer.stdout, format!("{value}|none|1\n"), "{shell:?}");
            assert!(!env.path("made").exists(), "{shell:?}: {value:?}");
        }
    }
}

#[test]
fn fish_reads_values_as_they_are() {
    if !has("fish") {
        return skipped("values in a shell: no fish");
    }
    for value in ATTACKS.iter().chain(&LINES) {
        let env = project(value);
        let script = "portkeeper prepare --format fish | source
                      printf '%s|' \"$SAID\" (set -q EVIL; and echo evil; or echo none)";
        let answer = in_shell(&env, &["fish", "--no-config"], script);
        assert_eq!(answer.stdout, format!("{value}|none|"));
        assert!(!env.path("made").exists(), "{value:?}");
    }
}

#[test]
fn steps_read_values_as_they_are() {
    for value in ATTACKS.iter().chain(&LINES) {
        let env = project(value);
        let files = Files::new(&env);
        let _ = step(&env, &files, &["prepare", "--format", "github"]).ok();
        let (variables, outputs) = files.read();
        let names: Vec<_> = variables.keys().map(String::as_str).collect();
        assert_eq!(names, ["SAID", "WEB_HOST", "WEB_PORT"]);
        assert_eq!(variables["SAID"], *value);
        assert_eq!(outputs, variables);
    }
}

#[test]
fn reports_read_values_as_they_are() {
    for value in ATTACKS {
        let env = project(value);
        let answer = env.pk("prepare --format env").ok();
        assert!(answer.stdout.starts_with(&format!("SAID={value}\n")));
        assert_eq!(answer.stdout.lines().count(), 3);
    }
    for value in LINES.iter().chain(&[" a", "a ", "a\t"]) {
        let env = project(value);
        env.pk("prepare --format env")
            .refused(2)
            .says("SAID has several lines, or blanks at an end");
        assert_eq!(env.reserved(), [0_u16; 0]);
    }
}

#[test]
fn what_a_terminal_obeys_is_refused_in_every_form() {
    for value in [
        "a\u{1b}[2J",
        "a\rEVIL=1",
        "a\u{2028}b",
        "\u{202e}x",
        "a\u{0}b",
    ] {
        for form in ["env", "shell", "fish", "github"] {
            let env = project(value);
            let files = Files::new(&env);
            let answer = step(&env, &files, &["prepare", "--format", form]);
            assert!(matches!(answer.code, Some(2 | 6)), "{answer:#?}");
            assert_eq!(answer.stdout, "");
            assert_eq!(env.reserved(), [0_u16; 0], "{value:?}");
            assert!(files.read().0.is_empty());
        }
    }
}

#[test]
fn variables_that_choose_programs_need_a_word_of_force() {
    for form in ["env", "shell", "fish", "github"] {
        let env = TestEnv::new();
        let files = Files::new(&env);
        fs::write(
            env.path("portkeeper.toml"),
            "[ports.web]\n[vars]\nLD_PRELOAD = '/tmp/evil.so'\n",
        )
        .unwrap();
        step(&env, &files, &["prepare", "--format", form])
            .refused(2)
            .says("LD_PRELOAD changes which programs run");
        assert_eq!(env.reserved(), [0_u16; 0]);
        let _ = step(&env, &files, &["prepare", "--format", form, "--force"]).ok();
        step(
            &env,
            &files,
            &["reserve", "--write-env", "PATH", "--format", form],
        )
        .refused(2);
    }
}

/// Owners, notes and names are what others choose: they are in no variable, or made of letters.
#[test]
fn labels_make_no_variable() {
    let env = TestEnv::new();
    let files = Files::new(&env);
    for owner in ATTACKS {
        let note = format!("a={owner}");
        let args = [
            "reserve", "--owner", owner, "--note", &note, "--name", "a-b.c/d",
        ];
        for form in ["env", "shell", "fish"] {
            let answer = step(&env, &files, &[&args[..], &["--format", form]].concat()).ok();
            assert_eq!(answer.stdout.lines().count(), 1, "{answer:#?}");
            assert!(answer.stdout.contains("A_B_C_D_PORT"), "{answer:#?}");
        }
        let _ = step(&env, &files, &[&args[..], &["--format", "github"]].concat()).ok();
        let (variables, outputs) = files.read();
        assert_eq!(variables.keys().collect::<Vec<_>>(), ["A_B_C_D_PORT"]);
        assert_eq!(outputs.keys().collect::<Vec<_>>(), ["host", "id", "port"]);
    }
    for bad in ["a\nEVIL=1", "a\rEVIL=1"] {
        for option in ["--owner", "--name", "--note"] {
            let value = if option == "--note" {
                format!("a={bad}")
            } else {
                bad.to_owned()
            };
            step(
                &env,
                &files,
                &["reserve", option, &value, "--format", "github"],
            )
            .refused(2);
        }
    }
}
