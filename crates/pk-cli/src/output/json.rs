//! Answers as JSON, one value on one line of ASCII. The shapes are part of the interface: fields are
//! added, never changed or taken away.

mod doctor;
mod project;
mod setup;
mod why;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use portkeeper::config::backup::Backup;
use portkeeper::fs::utc;
use portkeeper::users::Users;
use portkeeper::{
    Collected, Ended, Here, Kept, Kind, Listed, Preview, Record, Released, Snapshot, Strategy,
    Verdict, Written,
};
use serde::Serialize;

pub(crate) use doctor::checkup;
pub(crate) use project::{drafted, forecast, prepared};
pub(crate) use setup::set_up;
pub(crate) use why::{free, ready, why};

#[derive(Serialize)]
struct Reservation<'a> {
    host: String,
    port: u16,
    held: bool,
    proto: &'static str,
    id: &'a str,
    owner: Option<&'a str>,
    name: Option<&'a str>,
    expires: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    notes: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Reserved<'a> {
    #[serde(flatten)]
    reservation: Reservation<'a>,
    registry: String,
    holder_pid: Option<u32>,
    files: &'a [File],
}

#[derive(Serialize)]
struct File {
    path: String,
    /// The key or the pointer; none where the whole file was written.
    key: Option<String>,
    strategy: &'static str,
    backup: Option<String>,
}

#[derive(Serialize)]
struct WrittenAnswer {
    files: Vec<Changed>,
}

#[derive(Serialize)]
struct Changed {
    #[serde(flatten)]
    file: File,
    changed: bool,
    duplicates: usize,
}

#[derive(Serialize)]
struct BackupsAnswer<'a> {
    backups: Vec<Copy<'a>>,
}

#[derive(Serialize)]
struct Copy<'a> {
    file: String,
    id: &'a str,
    path: String,
    bytes: u64,
}

#[derive(Serialize)]
struct Status<'a> {
    registry: String,
    kind: &'static str,
    reservations: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "nearly all entries are sound")]
enum Entry<'a> {
    Sound {
        #[serde(flatten)]
        reservation: Reservation<'a>,
        holder_pid: Option<u32>,
        uid: u32,
        pid: Option<u32>,
        created: String,
        fence: u64,
        state: &'static str,
        user: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    Damaged {
        port: Option<u16>,
        state: &'static str,
        key: &'a str,
        reason: &'a str,
    },
}

#[derive(Serialize)]
struct Gone<'a> {
    port: u16,
    host: String,
    id: &'a str,
    proto: &'static str,
}

#[derive(Serialize)]
struct ReleasedAnswer<'a> {
    released: Vec<Gone<'a>>,
}

#[derive(Serialize)]
struct RenewedAnswer<'a> {
    renewed: Vec<Reservation<'a>>,
}

#[derive(Serialize)]
struct Removed<'a> {
    port: u16,
    id: &'a str,
    reason: String,
    proto: &'static str,
}

#[derive(Serialize)]
struct CollectedAnswer<'a> {
    removed: Vec<Removed<'a>>,
    kept: usize,
    dry_run: bool,
}

#[derive(Serialize)]
struct PreviewAnswer<'a> {
    host: String,
    port: u16,
    held: bool,
    proto: &'static str,
    dry_run: bool,
    diffs: &'a [String],
}

pub(crate) fn reserved(kept: &Kept, registry: &Path, several: bool) -> String {
    let files: Vec<File> = kept.files.iter().flat_map(files).collect();
    let answers: Vec<_> = kept
        .reservations
        .iter()
        .map(|record| Reserved {
            reservation: Reservation::new(record, record.kind == Kind::Held, &kept.here),
            registry: registry.to_string_lossy().into_owned(),
            holder_pid: holder(record),
            files: &files,
        })
        .collect();
    one_or_several(&answers, several)
}

pub(crate) fn preview(preview: &Preview, held: bool, several: bool) -> String {
    let answers: Vec<_> = preview
        .ports
        .iter()
        .map(|(host, port)| PreviewAnswer {
            host: host.to_string(),
            port: port.number(),
            held,
            proto: preview.protocol.name(),
            dry_run: true,
            diffs: &preview.diffs,
        })
        .collect();
    one_or_several(&answers, several)
}

pub(crate) fn status(snapshot: &Snapshot) -> String {
    let (here, users) = (Here::now(), Users::read());
    line(&Status {
        registry: snapshot.path.to_string_lossy().into_owned(),
        kind: snapshot.sharing.name(),
        reservations: snapshot
            .entries
            .iter()
            .map(|entry| Entry::new(entry, &here, &users))
            .collect(),
    })
}

pub(crate) fn released(answer: &Released) -> String {
    line(&ReleasedAnswer {
        released: answer.released.iter().map(Gone::new).collect(),
    })
}

pub(crate) fn renewed(renewed: &[Record]) -> String {
    let here = Here::now();
    let answer = |record| Reservation::new(record, record.kind == Kind::Held, &here);
    line(&RenewedAnswer {
        renewed: renewed.iter().map(answer).collect(),
    })
}

pub(crate) fn collected(collected: &Collected, dry_run: bool) -> String {
    line(&CollectedAnswer {
        removed: collected.removed.iter().map(Removed::new).collect(),
        kept: collected.kept,
        dry_run,
    })
}

pub(crate) fn written(written: &[Written]) -> String {
    line(&WrittenAnswer {
        files: written.iter().flat_map(changed).collect(),
    })
}

pub(crate) fn backups(backups: &[Backup]) -> String {
    line(&BackupsAnswer {
        backups: backups.iter().map(Copy::new).collect(),
    })
}

/// The state of an entry, in one word.
#[must_use]
pub fn state(kind: Kind, verdict: Verdict) -> &'static str {
    match (verdict, kind) {
        (Verdict::Stale(_), _) => "stale",
        (Verdict::Elsewhere, _) => "elsewhere",
        (Verdict::Alive, Kind::Held) => "held",
        (Verdict::Alive, Kind::Leased) => "leased",
        (Verdict::Alive, Kind::Guarded) => "guarded",
    }
}

impl<'a> Reservation<'a> {
    fn new(record: &'a Record, held: bool, here: &Here) -> Reservation<'a> {
        Reservation {
            host: record.host.to_string(),
            port: record.port.number(),
            held,
            id: &record.id,
            proto: record.protocol.name(),
            owner: record.owner.as_deref(),
            name: record.name.as_deref(),
            project: record.project.as_deref(),
            notes: &record.notes,
            expires: here.end_of(record.lease).map(utc::rfc3339),
        }
    }
}

impl<'a> Copy<'a> {
    fn new(backup: &'a Backup) -> Copy<'a> {
        let Backup {
            of,
            id,
            path,
            bytes,
        } = backup;
        let [file, path] = [of, path].map(|path| path.to_string_lossy().into_owned());
        Copy {
            file,
            id,
            path,
            bytes: *bytes,
        }
    }
}

impl<'a> Gone<'a> {
    fn new(record: &'a Record) -> Gone<'a> {
        Gone {
            port: record.port.number(),
            host: record.host.to_string(),
            proto: record.protocol.name(),
            id: &record.id,
        }
    }
}

impl<'a> Removed<'a> {
    fn new(ended: &'a Ended) -> Removed<'a> {
        let Ended {
            reservation,
            reason,
        } = ended;
        Removed {
            port: reservation.port.number(),
            id: &reservation.id,
            reason: reason.to_string(),
            proto: reservation.protocol.name(),
        }
    }
}

impl<'a> Entry<'a> {
    fn new(entry: &'a Listed, here: &Here, users: &Users) -> Entry<'a> {
        match entry {
            Listed::Sound {
                reservation,
                verdict,
            } => Entry::Sound {
                reservation: Reservation::new(
                    reservation,
                    reservation.kind == Kind::Held && *verdict == Verdict::Alive,
                    here,
                ),
                holder_pid: holder(reservation),
                uid: reservation.uid,
                pid: reservation
                    .process
                    .or(reservation.until)
                    .map(|process| process.pid),
                created: utc::rfc3339(reservation.created),
                fence: reservation.fence,
                state: state(reservation.kind, *verdict),
                user: users.name(reservation.uid).map(str::to_owned),
                reason: match verdict {
                    Verdict::Stale(reason) => Some(reason.to_string()),
                    _ => None,
                },
            },
            Listed::Damaged { key, port, reason } => Entry::Damaged {
                port: port.map(Into::into),
                state: "damaged",
                key,
                reason,
            },
        }
    }
}

fn holder(record: &Record) -> Option<u32> {
    record
        .process
        .filter(|_| record.kind == Kind::Held)
        .map(|process| process.pid)
}

fn files(written: &Written) -> impl Iterator<Item = File> {
    let whole = written.keys.is_empty().then_some(None);
    let keys = written.keys.iter().cloned().map(Some).chain(whole);
    keys.map(|key| File {
        path: written.path.to_string_lossy().into_owned(),
        key,
        strategy: match written.strategy {
            Strategy::Rename => "rename",
            Strategy::InPlace => "in-place",
        },
        backup: written
            .backup
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned()),
    })
}

fn changed(written: &Written) -> impl Iterator<Item = Changed> {
    let Written {
        changed,
        duplicates,
        ..
    } = *written;
    files(written).map(move |file| Changed {
        file,
        changed,
        duplicates,
    })
}

fn one_or_several<T: Serialize>(answers: &[T], several: bool) -> String {
    match answers {
        [only] if !several => line(only),
        _ => line(&answers),
    }
}

fn line(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let mut out = serde_json::Serializer::with_formatter(&mut bytes, Ascii);
    value
        .serialize(&mut out)
        .expect("our own structs can be written to memory");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("it is ASCII")
}

/// JSON without a character that a terminal could act upon.
struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return writer.write_all(fragment.as_bytes());
        }
        for character in fragment.chars() {
            if matches!(character, ' '..='~') {
                writer.write_all(&[character as u8])?;
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn json_is_ascii_and_reads_back() {
        let text = "a\"\\\n\u{7f}\u{9b}é\u{202e}🚀";
        let json = line(&text);
        assert_eq!(
            json,
            "\"a\\\"\\\\\\n\\u007f\\u009b\\u00e9\\u202e\\ud83d\\ude80\"\n"
        );
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
