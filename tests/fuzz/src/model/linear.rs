//! Whether a history is linearizable: whether there is one instant within each operation at which it
//! could have happened all at once, so that the model, doing one after the other, answers as the
//! real thing did. The search is that of Wing and Gong, with Lowe's memory of what was tried.
//!
//! Never runs anything.

use std::collections::HashSet;

use super::machine::agree;
use super::{Answer, Event, Mode, Model, Op, Seen, Step, Wish};

/// Checks a history.
///
/// # Panics
/// It is not linearizable, or has more than 64 events.
pub fn check(history: &[Event]) {
    assert!(history.len() <= 64, "a long history");
    let mut search = Search {
        history,
        tried: HashSet::new(),
        most: 0,
    };
    let is_fine = search.goes_on(0, &Model::of(Mode::Command));
    let most = search.most;
    assert!(
        is_fine,
        "not linearizable: only {most} of {} events can be put in an order",
        history.len()
    );
}

struct Search<'h> {
    history: &'h [Event],
    /// Which events were put in an order, and what that came to.
    tried: HashSet<(u64, String)>,
    most: u32,
}

impl Search<'_> {
    /// Whether the events that are not `done` can follow.
    fn goes_on(&mut self, done: u64, model: &Model) -> bool {
        self.most = self.most.max(done.count_ones());
        let left = |at: &usize| done & (1 << at) == 0;
        let left: Vec<usize> = (0..self.history.len()).filter(left).collect();
        // Whatever begins after another has ended comes after it.
        let Some(horizon) = left.iter().map(|&at| self.history[at].end).min() else {
            return true;
        };
        for at in left {
            if self.history[at].start > horizon {
                continue;
            }
            for next in self.after(at, model) {
                let done = done | (1 << at);
                let state = (done, format!("{:?}", next.entries));
                if self.tried.insert(state) && self.goes_on(done, &next) {
                    return true;
                }
            }
        }
        false
    }

    /// What the model may be after an event, if it answers so.
    fn after(&self, at: usize, model: &Model) -> Vec<Model> {
        let event = &self.history[at];
        match (&event.step, &event.seen) {
            (Step::Do(op), Seen::Answer(answer)) => {
                if self.is_beside_a_dying_one(event)
                    && let Some(next) = hindered(op, answer, model)
                {
                    return vec![next];
                }
                let next = model.clone().after(op);
                Vec::from_iter(agree(answer, &next.answer).then_some(next))
            }
            // It had come to that, or not.
            (Step::Doomed(op, _), _) => vec![model.clone().after(op), model.clone()],
            (Step::Look, Seen::Listed(listed)) => {
                let shown = |entry: &super::Entry| (entry.port, entry.protocol.name().to_owned());
                let mut expect: Vec<_> = model.entries.iter().map(shown).collect();
                expect.sort();
                Vec::from_iter((expect == *listed).then(|| model.clone()))
            }
            (step, seen) => panic!("{step:?} can't be answered by {seen:?}"),
        }
    }

    /// The kernel may take the lock from a process that dies before it closes the ports that this
    /// process tries on.
    fn is_beside_a_dying_one(&self, event: &Event) -> bool {
        self.history.iter().any(|other| {
            let is_dying = matches!(&other.step, Step::Doomed(Op::Reserve(_), _));
            is_dying && other.start <= event.end && event.start <= other.end
        })
    }
}

/// What may come of a reservation while some ports are in use that nobody knows of.
impl Model {
    /// Whether these ports may be granted, if others are in the way that nobody knows of.
    fn may_grant(&self, wish: &Wish, ports: &[u8]) -> bool {
        let is_asked_for = |port: &u8| {
            let is_named = wish.preferred == Some(*port);
            let is_in_range = !wish.strict && wish.range.contains(port);
            (is_named || is_in_range) && wish.except != Some(*port)
        };
        let is_free = |port: &u8| self.is_free(*port, wish.protocol.of());
        ports.len() == wish.count && ports.iter().all(|port| is_asked_for(port) && is_free(port))
    }

    /// Gives somebody these ports.
    fn granting(mut self, wish: &Wish, ports: Vec<u8>) -> Model {
        self.answer = self.reserve(wish, Some(ports));
        self
    }
}

/// What comes of a reservation while some port may be in use for a moment.
fn hindered(op: &Op, answer: &Answer, model: &Model) -> Option<Model> {
    match (op, answer) {
        (Op::Reserve(wish), Answer::Granted(ports)) => model
            .may_grant(wish, ports)
            .then(|| model.clone().granting(wish, ports.clone())),
        (Op::Reserve(_), Answer::Refused) => Some(model.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Write;
    use crate::model::operations::Proto;

    fn reserve() -> Op {
        Op::Reserve(Wish {
            user: 0,
            guarded: false,
            hold: false,
            preferred: None,
            strict: false,
            range: 0..2,
            except: None,
            count: 1,
            protocol: Proto::Tcp,
            ttl: None,
            tied: false,
            write: Write::Nowhere,
        })
    }

    fn event(start: u64, end: u64, step: Step, seen: Seen) -> Event {
        Event {
            start,
            end,
            step,
            seen,
        }
    }

    fn granted(start: u64, end: u64, port: u8) -> Event {
        let seen = Seen::Answer(Answer::Granted(vec![port]));
        event(start, end, Step::Do(reserve()), seen)
    }

    fn listed(start: u64, end: u64, ports: &[u8]) -> Event {
        let shown = ports.iter().map(|port| (*port, "tcp".into()));
        event(start, end, Step::Look, Seen::Listed(shown.collect()))
    }

    #[test]
    fn an_order_is_found_or_there_is_none() {
        let doomed = event(0, 9, Step::Doomed(reserve(), 1), Seen::Nothing);
        let check = |history: &[Event], expect: bool| {
            let judged = std::panic::catch_unwind(|| check(history));
            assert_eq!(judged.is_ok(), expect, "{history:?}");
        };
        check(&[], true);
        // At once in either order, one after the other in one.
        check(&[granted(0, 9, 1), granted(1, 8, 0)], true);
        check(&[granted(0, 1, 1), granted(2, 3, 0)], false);
        check(&[granted(0, 1, 0), granted(2, 3, 1)], true);
        // Twice the same.
        check(&[granted(0, 9, 0), granted(1, 8, 0)], false);
        // What was there is seen by whoever comes later, and goes on to be.
        check(
            &[granted(0, 3, 0), listed(1, 2, &[]), listed(1, 2, &[0])],
            true,
        );
        check(&[granted(0, 1, 0), listed(2, 3, &[])], false);
        check(
            &[granted(0, 9, 0), listed(1, 2, &[0]), listed(3, 4, &[])],
            false,
        );
        // Whoever was killed has done it, or not, and not both.
        check(&[doomed.clone(), listed(10, 11, &[0])], true);
        check(&[doomed.clone(), listed(10, 11, &[])], true);
        check(&[doomed, listed(10, 11, &[]), listed(12, 13, &[0])], false);
    }
}
