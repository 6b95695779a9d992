//! Values that were written, read back by the programs that people use. One that is not installed
//! is left out, with a message.

use std::fs;
use std::path::Path;
use std::process::Command;

use pk_config::dotenv::EnvFile;

use crate::home::{Home, skip};

/// What people put in such files, of each form that is written.
const VALUES: &[&str] = &[
    "",
    "8080",
    "127.0.0.1:8080",
    "localhost",
    "postgres://u:p@db:5432/x,y=%20+-",
    "/usr/local/bin",
    "a b",
    " leading and trailing ",
    "tab\there",
    "a#b",
    "a # b",
    "#tech",
    "http://h:1/?q=1&r=[2]",
    "~/x",
    "a;b|c&d",
    "(x)",
    "{x}",
    "<x>",
    "*",
    "a!b",
    "C:\\dir\\new",
    "a\\nb",
    "\"quoted\"",
    "`x`",
    "it's",
    "it's # fine",
    "' '",
    "é ü 漢",
    "a=b=c",
    "=x",
    "export",
    "two\nlines",
    "it's\ntwo # lines",
];

/// A file with all values twice: once appended, once in the place of other ones.
fn file(home: &Home) -> (std::path::PathBuf, Vec<(String, String)>) {
    let mut file = EnvFile::parse(b"# comment\nR0='x'\nR1=\"x\"\nR2=x\n").unwrap();
    let mut expect = Vec::new();
    for (index, value) in VALUES.iter().enumerate() {
        let key = format!("K{index}");
        file.set(&key, value).unwrap();
        expect.push((key, (*value).to_owned()));
    }
    for key in ["R0", "R1", "R2"] {
        file.set(key, "it's 8080").unwrap();
        expect.push((key.into(), "it's 8080".into()));
    }
    (home.write(".env", file.to_bytes()), expect)
}

/// Compares what a program printed, `KEY=value` with a NUL after each.
fn check(reader: &str, printed: &[u8], expect: &[(String, String)]) {
    let printed = String::from_utf8_lossy(printed);
    let read: Vec<(&str, &str)> = printed
        .split('\0')
        .filter_map(|pair| pair.trim_start_matches('\n').split_once('='))
        .collect();
    for (key, value) in expect {
        let found = read
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| *value);
        assert_eq!(found, Some(value.as_str()), "{reader}: {key}");
    }
}

/// Runs a program that prints what it reads; `None` where it is not there.
fn printed(reader: &str, program: &str, arguments: &[&str], path: &Path) -> Option<Vec<u8>> {
    let output = Command::new(program).args(arguments).arg(path).output();
    match output {
        Ok(output) if output.status.success() => Some(output.stdout),
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stderr);
            assert!(
                why.contains("No module named") || why.contains("Cannot find module"),
                "{reader}: {why}"
            );
            skip(reader, "it is not installed");
            None
        }
        Err(error) => {
            skip(reader, &error.to_string());
            None
        }
    }
}

#[test]
fn shells_read_what_was_written() {
    let home = Home::new();
    let (path, expect) = file(&home);
    for shell in ["sh", "bash", "dash"] {
        let script = "set -a; . \"$1\"; env -0";
        if let Some(read) = printed(shell, shell, &["-c", script, shell], &path) {
            check(shell, &read, &expect);
        }
    }
}

#[test]
fn python_dotenv_reads_what_was_written() {
    let home = Home::new();
    let (path, expect) = file(&home);
    let script = "import sys, dotenv\n\
        for key, value in dotenv.dotenv_values(sys.argv[1]).items(): print(f'{key}={value}', end='\\0')";
    if let Some(read) = printed("python-dotenv", "python3", &["-c", script], &path) {
        check("python-dotenv", &read, &expect);
    }
}

#[test]
fn npm_dotenv_reads_what_was_written() {
    let home = Home::new();
    let (path, expect) = file(&home);
    let script = "const read = require('dotenv').parse(require('fs').readFileSync(process.argv[1]));\
        for (const key in read) process.stdout.write(`${key}=${read[key]}\\0`)";
    if let Some(read) = printed("npm dotenv", "node", &["-e", script], &path) {
        check("npm dotenv", &read, &expect);
    }
}

#[test]
fn node_reads_what_was_written() {
    let home = Home::new();
    let (path, expect) = file(&home);
    let script = "process.loadEnvFile(process.argv[1]);\
        for (const key in process.env) process.stdout.write(`${key}=${process.env[key]}\\0`)";
    let known = Command::new("node")
        .args(["-e", "process.exit(process.loadEnvFile ? 0 : 1)"])
        .status();
    if !known.is_ok_and(|known| known.success()) {
        return skip("node --env-file", "it is not installed or too old");
    }
    if let Some(read) = printed("node --env-file", "node", &["-e", script], &path) {
        check("node --env-file", &read, &expect);
    }
}

#[test]
fn dotenvy_reads_what_was_written() {
    let home = Home::new();
    let (path, expect) = file(&home);
    let mut read = Vec::new();
    for pair in dotenvy::from_path_iter(path).unwrap() {
        let (key, value) = pair.unwrap();
        read.extend(format!("{key}={value}\0").into_bytes());
    }
    check("dotenvy", &read, &expect);
}

/// The parser of `EnvironmentFile=`, in the library that systemd's programs share.
#[test]
fn systemd_reads_what_was_written() {
    let folders = [
        "/usr/lib/systemd",
        "/usr/lib/x86_64-linux-gnu/systemd",
        "/usr/lib/aarch64-linux-gnu/systemd",
    ];
    let files = folders
        .iter()
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten();
    let library = files
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libsystemd-shared-") && name.ends_with(".so")
        });
    let Some(library) = library else {
        return skip("systemd", "its library is not here");
    };
    let home = Home::new();
    let (path, expect) = file(&home);
    let script = "import ctypes, sys\n\
        strings = ctypes.POINTER(ctypes.c_char_p)()\n\
        load = ctypes.CDLL(sys.argv[1]).load_env_file\n\
        code = load(None, sys.argv[2].encode(), ctypes.byref(strings))\n\
        assert code >= 0, code\n\
        index = 0\n\
        while strings[index] is not None:\n\
        \x20   sys.stdout.buffer.write(strings[index] + b'\\0'); index += 1";
    let arguments = ["-c", script, library.to_str().unwrap()];
    if let Some(read) = printed("systemd", "python3", &arguments, &path) {
        check("systemd", &read, &expect);
    }
}
