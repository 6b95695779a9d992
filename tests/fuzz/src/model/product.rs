//! What the product does, without disk, kernel or time: who has which port, whom that keeps out,
//! and what the files say. Never looks at the real thing.

use portkeeper::Protocol;

use super::{Answer, Breakage, Entry, File, Guard, Op, Wish};

/// How long a reservation lasts that nobody guards any more: a day, in milliseconds.
const LEASE: u64 = 86_400_000;

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Milliseconds since the first boot.
    pub now: u64,
    /// What the registry may list: those that have ended stay until somebody drops them.
    pub entries: Vec<Entry>,
    /// Values (or holders) that keep a reservation, and maybe its port.
    pub guards: Vec<Guard>,
    /// Ports of entries that can't be read.
    pub damaged: Vec<u8>,
    /// Ports of other programs' servers.
    pub servers: Vec<u8>,
    /// Processes that reservations were tied to and that have ended since.
    pub ended: Vec<u32>,
    /// Which process `--pid` names now.
    pub process: u32,
    /// The registry can't be read.
    pub broken: Option<Breakage>,
    /// The `.env` file.
    pub env: File,
    /// The JSON file.
    pub json: File,
    /// Whether guards are holders, which end when what they hold is released.
    pub holders: bool,
    /// How many guards there have been.
    pub count: u32,
    /// What the last operation answers.
    pub answer: Answer,
}

impl Model {
    /// Whether a reservation is still good.
    pub fn is_alive(&self, entry: &Entry) -> bool {
        let is_kept = |id| self.guards.iter().any(|guard| guard.id == id);
        !entry.past
            && entry.guard.is_none_or(is_kept)
            && entry.ends.is_none_or(|end| end > self.now)
            && entry
                .until
                .is_none_or(|process| !self.ended.contains(&process))
    }

    /// Whether the kernel refuses the port.
    pub fn is_bound(&self, port: u8, protocol: Protocol) -> bool {
        let holds =
            |guard: &Guard| guard.holds && guard.port == port && guard.protocol.overlaps(protocol);
        self.guards.iter().any(holds) || (protocol != Protocol::Udp && self.servers.contains(&port))
    }

    /// Whether a search gives it out.
    pub(super) fn is_free(&self, port: u8, protocol: Protocol) -> bool {
        let is_in_the_way = |entry: &Entry| {
            entry.port == port && entry.protocol.overlaps(protocol) && self.is_alive(entry)
        };
        let is_damaged = protocol != Protocol::Udp && self.damaged.contains(&port);
        !self.is_bound(port, protocol) && !is_damaged && !self.entries.iter().any(is_in_the_way)
    }

    fn grant(&self, wish: &Wish) -> Option<Vec<u8>> {
        let written = wish.write.is_in_env().then_some(self.env.port);
        let suggested = written.filter(|port| wish.range.contains(port));
        let first = wish.preferred.or(suggested);
        let range = wish
            .range
            .clone()
            .filter(|port| Some(*port) != first && !wish.strict);
        let candidates = first.into_iter().chain(range);
        let wanted = candidates.filter(|port| wish.except != Some(*port));
        let free = wanted.filter(|port| self.is_free(*port, wish.protocol.of()));
        let granted: Vec<u8> = free.take(wish.count).collect();
        (granted.len() == wish.count).then_some(granted)
    }

    /// Somebody gets these ports, or none.
    pub(super) fn reserve(&mut self, wish: &Wish, granted: Option<Vec<u8>>) -> Answer {
        let Some(granted) = granted else {
            return Answer::Refused;
        };
        for &port in &granted {
            self.count += 1;
            let guard = wish.guarded.then_some(self.count);
            let (holds, protocol) = (wish.hold, wish.protocol.of());
            self.guards.extend(guard.map(|id| Guard {
                id,
                port,
                protocol,
                holds,
            }));
            self.entries.push(Entry {
                port,
                user: wish.user,
                protocol,
                guard,
                ends: wish.ttl.map(|time| self.now + time),
                until: wish.tied.then_some(self.process),
                past: false,
            });
        }
        for (file, is_written) in [
            (&mut self.env, wish.write.is_in_env()),
            (&mut self.json, wish.write.is_in_json()),
        ] {
            if is_written {
                file.change(granted[0], file.notes);
            }
        }
        self.broken = None;
        Answer::Granted(granted)
    }

    fn release(&mut self, user: u8, port: u8) -> Answer {
        let there = self.entries.iter().filter(|entry| entry.port == port);
        let (alive, ended): (Vec<_>, Vec<_>) = there.partition(|entry| self.is_alive(entry));
        let mine = alive.iter().filter(|entry| entry.user == user).count();
        let (theirs, ended) = (mine < alive.len(), !ended.is_empty());
        let is_released = |entry: &Entry| entry.port == port && entry.user == user;
        if self.holders {
            let ends = |id| {
                self.entries
                    .iter()
                    .any(|it| it.guard == Some(id) && is_released(it))
            };
            self.guards.retain(|guard| !ends(guard.id));
        }
        self.entries.retain(|entry| !is_released(entry));
        self.begin_anew();
        Answer::Released {
            mine,
            theirs,
            ended,
        }
    }

    fn renew(&mut self, user: u8, port: u8, ends: Option<u64>) -> Answer {
        let now = self.clone();
        let there = self.entries.iter_mut().filter(|entry| entry.port == port);
        let alive: Vec<_> = there.filter(|entry| now.is_alive(entry)).collect();
        if alive.is_empty() || alive.iter().any(|entry| entry.user != user) {
            return Answer::Refused;
        }
        alive.into_iter().for_each(|entry| entry.ends = ends);
        Answer::Done
    }

    fn keep(&mut self, id: u32) {
        self.guards.retain(|guard| guard.id != id);
        let lease = self.now + LEASE;
        for entry in &mut self.entries {
            if entry.guard == Some(id) {
                entry.guard = None;
                entry.ends = entry.ends.or(Some(lease));
            }
        }
        self.begin_anew();
    }

    fn collect(&mut self) {
        let all = std::mem::take(&mut self.entries);
        self.entries = all
            .into_iter()
            .filter(|entry| self.is_alive(entry))
            .collect();
        self.begin_anew();
    }

    /// A writer has come. An empty file stays until there is something to write.
    fn begin_anew(&mut self) {
        if self.broken != Some(Breakage::Empty) {
            self.broken = None;
        }
    }

    /// Does an operation.
    #[must_use]
    pub fn after(mut self, op: &Op) -> Model {
        self.answer = Answer::Done;
        match op {
            Op::Reserve(wish) => self.answer = self.reserve(wish, self.grant(wish)),
            Op::Release { user, port } => self.answer = self.release(*user, *port),
            Op::Renew { user, port, ttl } => {
                self.answer = self.renew(*user, *port, ttl.map(|time| self.now + time));
            }
            Op::Collect => self.collect(),
            Op::LetGo(id) => {
                self.guards.retain(|guard| guard.id != *id);
                self.entries.retain(|entry| entry.guard != Some(*id));
                self.begin_anew();
            }
            Op::Keep(id) => self.keep(*id),
            Op::Kill(id) => self.guards.retain(|guard| guard.id != *id),
            Op::Pass(time) => self.now += time,
            Op::SetClock(_) | Op::Newer => {}
            Op::Reboot => {
                self.entries.iter_mut().for_each(|entry| entry.past = true);
                self.guards.clear();
                self.damaged.clear();
            }
            Op::End => {
                self.ended.push(self.process);
                self.process += 1;
            }
            Op::Serve(port) => self.servers.push(*port),
            Op::Close(port) => self.servers.retain(|other| other != port),
            Op::Break(how) => {
                self.entries.clear();
                self.damaged.clear();
                self.broken = (*how != Breakage::Missing).then_some(*how);
            }
            Op::Damage(port) => self.damaged.push(*port),
            Op::Note => {
                (self.env.notes, self.json.notes) = (self.env.notes + 1, self.json.notes + 1);
            }
            Op::Restore => {
                let now = (self.env.port, self.env.notes);
                match self.env.backups.iter().rev().find(|backup| **backup != now) {
                    Some(&(port, notes)) => self.env.change(port, notes),
                    None => self.answer = Answer::Refused,
                }
            }
        }
        self
    }
}
