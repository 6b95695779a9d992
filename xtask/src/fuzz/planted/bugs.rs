//! The bugs: each a small change of the code that compiles, and the target that should find it. Never
//! planted where somebody works.

/// A bug.
pub(super) struct Bug {
    pub(super) name: &'static str,
    /// What goes wrong for users.
    pub(super) about: &'static str,
    /// Which target finds it.
    pub(super) target: &'static str,
    /// Where it is planted.
    pub(super) file: &'static str,
    /// What stands there once, and what stands there instead.
    pub(super) change: (&'static str, &'static str),
}

impl Bug {
    /// The text of the file with the bug.
    pub(super) fn planted(&self, sound: &str) -> Result<String, String> {
        match sound.matches(self.change.0).count() {
            1 => Ok(sound.replace(self.change.0, self.change.1)),
            count => Err(format!(
                "{} ({}): its place is there {count} times in {}",
                self.name, self.about, self.file
            )),
        }
    }
}

pub(super) const BUGS: &[Bug] = &[
    Bug {
        name: "no-sync-before-name",
        about: "A power cut leaves an empty .env",
        target: "order",
        file: "crates/pk-fs/src/replace/durable.rs",
        change: (
            r##"        file.sync_all()
            .map_err(|error| self.failed("sync"##,
            r##"        file.flush()
            .map_err(|error| self.failed("sync"##,
        ),
    },
    Bug {
        name: "lock-not-waited-for",
        about: "Who finds the lock taken works all the same",
        target: "histories",
        file: "crates/pk-fs/src/lock.rs",
        change: (
            r##"                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
"##,
            r##"                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(work(&Locked { file: &file, lock: self, stat }));
                }
"##,
        ),
    },
    Bug {
        name: "fence-begins-anew",
        about: "The last generation is not remembered beside the registry",
        target: "model",
        file: "crates/pk-registry/src/registry/change.rs",
        change: (
            r##"            memory.remember(self.locks.file_of_lock(), shards[0].document.generation);
"##,
            r##"            memory.remember(self.locks.file_of_lock(), 0);
"##,
        ),
    },
    Bug {
        name: "entry-dropped",
        about: "The fourth entry of a registry is not written",
        target: "model",
        file: "crates/pk-registry/src/transaction.rs",
        change: (
            r##"            self.shards[slot.shard].document.entries.extend(slot.entry);
"##,
            r##"            let entries = &mut self.shards[slot.shard].document.entries;
            entries.extend(slot.entry.filter(|_| entries.len() != 3));
"##,
        ),
    },
    Bug {
        name: "duplicate-handed-out",
        about: "A port that is reserved for both protocols is given out for one of them",
        target: "model",
        file: "crates/pk-registry/src/transaction.rs",
        change: (
            r##"                && key.protocol.overlaps(protocol)
"##,
            r##"                && key.protocol == protocol
"##,
        ),
    },
    Bug {
        name: "lease-off-by-one",
        about: "A lease lasts a millisecond longer",
        target: "model",
        file: "crates/pk-registry/src/staleness.rs",
        change: (
            r##"        && end <= now
"##,
            r##"        && end < now
"##,
        ),
    },
    Bug {
        name: "reboot-not-noticed",
        about: "What was reserved before a reboot is alive after it",
        target: "model",
        file: "crates/pk-core/src/machine.rs",
        change: (
            r##"        self.boot_id.is_empty() || boot_id.is_empty() || self.boot_id == boot_id
"##,
            r##"        self.boot_id.is_empty() || boot_id.is_empty() || self.boot_id.len() == boot_id.len()
"##,
        ),
    },
    Bug {
        name: "dead-guard-counts",
        about: "The reservation of a killed process stays",
        target: "model",
        file: "crates/pk-registry/src/staleness.rs",
        change: (
            r##"        Kind::Guarded => Some(Reason::GuardGone),
"##,
            r##"        Kind::Guarded => None,
"##,
        ),
    },
    Bug {
        name: "dead-process-counts",
        about: "The end of the process of --pid is not noticed",
        target: "model",
        file: "crates/pk-registry/src/staleness.rs",
        change: (
            r##"        && facts.process(process) == ProcessState::Gone
"##,
            r##"        && facts.process(process) == ProcessState::Gone
        && process.pid == 1
"##,
        ),
    },
    Bug {
        name: "some-instead-of-all",
        about: "Of several ports fewer are given out where there are not enough",
        target: "model",
        file: "crates/portkeeper/src/pick.rs",
        change: (
            r##"    tally.found = found.len();
"##,
            r##"    if !found.is_empty() {
        return Ok(Ok(Search::Found(found)));
    }
    tally.found = found.len();
"##,
        ),
    },
    Bug {
        name: "strict-ignored",
        about: "--strict looks on in the range",
        target: "model",
        file: "crates/pk-core/src/candidates.rs",
        change: (
            r##"            Fallback::Nothing => &[],
"##,
            r##"            Fallback::Nothing => self.ranges.as_slice(),
"##,
        ),
    },
    Bug {
        name: "suggestion-out-of-range",
        about: "A number in .env is tried first although it is outside of the range",
        target: "model",
        file: "crates/portkeeper/src/request/terms.rs",
        change: (
            r##"        ranges => ranges.iter().any(|range| range.contains(port)),
"##,
            r##"        ranges => !ranges.is_empty(),
"##,
        ),
    },
    Bug {
        name: "anothers-released",
        about: "A user releases what is another's",
        target: "model",
        file: "crates/portkeeper/src/release.rs",
        change: (
            r##"                let is_others = uid != here.uid && !is_root;
"##,
            r##"                let is_others = uid == u32::MAX && !is_root;
"##,
        ),
    },
    Bug {
        name: "anothers-renewed",
        about: "A user renews what is another's",
        target: "model",
        file: "crates/portkeeper/src/renew.rs",
        change: (
            r##"                let is_others = uid != here.uid && here.uid != 0;
"##,
            r##"                let is_others = uid == u32::MAX;
"##,
        ),
    },
    Bug {
        name: "renewal-lost",
        about: "What is kept has the lease with which it was made, and not the renewed one",
        target: "model",
        file: "crates/portkeeper/src/reservation.rs",
        change: (
            r##"                lease: lease(now.map_or(record.lease, |(now, _)| now.lease)),
"##,
            r##"                lease: lease(now.map_or(record.lease, |_| record.lease)),
"##,
        ),
    },
    Bug {
        name: "holder-not-ended",
        about: "A held port is forgotten, and its holder goes on",
        target: "model-program",
        file: "crates/portkeeper/src/release.rs",
        change: (
            r##"                } else if reservation.kind == Kind::Held && verdict == Verdict::Alive {
"##,
            r##"                } else if reservation.kind == Kind::Held && verdict != Verdict::Alive {
"##,
        ),
    },
    Bug {
        name: "oldest-restored",
        about: "The oldest backup is restored instead of the newest",
        target: "model",
        file: "crates/pk-config/src/backup.rs",
        change: (
            r##"    for backup in backups.iter().rev() {
"##,
            r##"    for backup in &backups {
"##,
        ),
    },
    Bug {
        name: "wrong-quote",
        about: "A value with a single quote is written in single quotes",
        target: "env",
        file: "crates/pk-config/src/dotenv/emit.rs",
        change: (
            r##"    let is_cut = value.contains('\'') || value.contains("\\\\") || value.ends_with('\\');
"##,
            r##"    let is_cut = value.contains("\\\\") || value.ends_with('\\');
"##,
        ),
    },
    Bug {
        name: "lost-comment",
        about: "The comment behind a value is lost",
        target: "env",
        file: "crates/pk-config/src/dotenv/edit.rs",
        change: (
            r##"    let end = found.value.end() + if is_last { blanks } else { 0 };
"##,
            r##"    let rest = behind.iter().take_while(|byte| !b"\r\n".contains(byte));
    let end = found.value.end() + if is_bare { rest.count() } else { 0 };
"##,
        ),
    },
    Bug {
        name: "first-of-several",
        about: "Of several lines with a key only the first is changed",
        target: "env",
        file: "crates/pk-config/src/dotenv/edit.rs",
        change: (
            r##"    for found in &assigned {
        check_end"##,
            r##"    for found in assigned.iter().take(1) {
        check_end"##,
        ),
    },
    Bug {
        name: "joined-lines",
        about: "A new line is put behind a last line that does not end",
        target: "env",
        file: "crates/pk-config/src/dotenv/edit.rs",
        change: (
            r##"    let is_open = last.is_some() && !file.bytes.ends_with(b"\n");
"##,
            r##"    let is_open = last.is_some() && file.bytes.ends_with(b"\r");
"##,
        ),
    },
    Bug {
        name: "port-as-number",
        about: "A port that was a string becomes a number",
        target: "json",
        file: "crates/pk-config/src/json/mod.rs",
        change: (
            r##"is_some_and(|text| text.starts_with('"'));
        let port"##,
            r##"is_some_and(|text| text.starts_with('\''));
        let port"##,
        ),
    },
    Bug {
        name: "no-comma",
        about: "A new member has no comma before it",
        target: "json",
        file: "crates/pk-config/src/json/edit.rs",
        change: (
            r##"        Some(_) => vec![line],
        None => vec![Splice::at(last.end(), ",".into()), line],
"##,
            r##"        _ => vec![line],
"##,
        ),
    },
    Bug {
        name: "newer-field-lost",
        about: "A field of a newer version is lost",
        target: "registry",
        file: "crates/pk-registry/src/format.rs",
        change: (
            r##"        for (key, value) in &self.unknown {
"##,
            r##"        for (key, value) in self.unknown.iter().skip(1) {
"##,
        ),
    },
    Bug {
        name: "escape-on-terminal",
        about: "A message quotes a control character as it is",
        target: "registry",
        file: "crates/pk-registry/src/format.rs",
        change: (
            r##"            true => out.extend(character.escape_unicode()),
"##,
            r##"            true if character != '\u{202e}' => out.extend(character.escape_unicode()),
            true => out.push(character),
"##,
        ),
    },
    Bug {
        name: "first-parenthesis",
        about: "A command called `a) S 1` is taken at its word",
        target: "stat",
        file: "crates/pk-core/src/process.rs",
        change: (
            r##"    let name_ends = text.iter().rposition(|&byte| byte == b')')?;
"##,
            r##"    let name_ends = text.iter().position(|&byte| byte == b')')?;
"##,
        ),
    },
    Bug {
        name: "unit-mixed-up",
        about: "Milliseconds are printed as seconds",
        target: "words",
        file: "crates/portkeeper/src/ttl.rs",
        change: (
            r##"            Ttl::For(time) if time.subsec_millis() == 0 => write!"##,
            r##"            Ttl::For(time) if time.subsec_millis() < 2 => write!"##,
        ),
    },
    Bug {
        name: "half-a-message",
        about: "A holder takes the half of a message for a whole one",
        target: "control",
        file: "crates/portkeeper/src/holder/message.rs",
        change: (
            r##"            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
"##,
            r##"            0 => break,
"##,
        ),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bug_has_its_place() {
        let root = crate::cargo::workspace().unwrap().workspace_root;
        for bug in BUGS {
            let sound = std::fs::read_to_string(root.join(bug.file)).unwrap();
            let planted = bug.planted(&sound).unwrap();
            assert_ne!(planted, sound, "{}", bug.name);
        }
    }
}
