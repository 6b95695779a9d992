//! In which order ports are tried. Pure: it knows what was asked for, not what is free.

use crate::{Port, PortRange};

/// What a user said about the number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The port that is tried first.
    pub preferred: Option<Port>,
    /// Where to look else, in this order.
    pub ranges: Vec<PortRange>,
    /// What to do when the preferred port can't be had.
    pub fallback: Fallback,
}

/// What to do when the preferred port can't be had.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fallback {
    /// Look in the ranges; without a range, in [`PortRange::DEFAULT`].
    #[default]
    Search,
    /// Give up.
    Nothing,
}

/// A port to try, and how it came to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// The port.
    pub port: Port,
    /// Why this one.
    pub origin: Origin,
}

/// How a port came to be tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was asked for by number: what a dead server left behind does not make it "busy".
    Number,
    /// It lies in a range that was asked for.
    Range,
    /// It lies in the default range.
    Default,
}

impl Wish {
    /// The ports to try, each once but for overlapping ranges. The default range is entered `seed`
    /// ports after its first, so that users who can't see each other's registry seldom meet, and
    /// leaves out well-known services and the range that the kernel hands out by itself, which
    /// `ephemeral` is asked for when it is needed.
    pub fn candidates(
        &self,
        seed: u32,
        ephemeral: impl FnOnce() -> Option<PortRange>,
    ) -> impl Iterator<Item = Candidate> {
        let preferred = self.preferred;
        let asked = preferred.into_iter().map(|port| Candidate {
            port,
            origin: Origin::Number,
        });
        let ranges = match self.fallback {
            Fallback::Search => self.ranges.as_slice(),
            Fallback::Nothing => &[],
        };
        let ranged = ranges
            .iter()
            .flat_map(|range| range.ports())
            .filter_map(move |port| {
                (Some(port) != preferred).then_some(Candidate {
                    port,
                    origin: Origin::Range,
                })
            });
        let default = self.fallback == Fallback::Search && self.ranges.is_empty();
        let chosen = std::iter::once_with(ephemeral)
            .take(usize::from(default))
            .flat_map(move |ephemeral| {
                PortRange::DEFAULT.ports_from(seed).filter_map(move |port| {
                    let left_out = Some(port) == preferred
                        || port.is_browser_blocked()
                        || port.is_well_known()
                        || ephemeral.is_some_and(|range| range.contains(port));
                    (!left_out).then_some(Candidate {
                        port,
                        origin: Origin::Default,
                    })
                })
            });
        asked.chain(ranged).chain(chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(number: u16) -> Port {
        Port::new(number).unwrap()
    }

    #[test]
    fn preferred_then_ranges_and_no_default_range_then() {
        let wish = Wish {
            preferred: Some(port(11)),
            ranges: vec!["10-12".parse().unwrap(), "5-6".parse().unwrap()],
            fallback: Fallback::Search,
        };
        let order = |wish: &Wish| -> Vec<u16> {
            wish.candidates(0, || unreachable!())
                .map(|it| it.port.number())
                .collect()
        };
        assert_eq!(order(&wish), [11, 10, 12, 5, 6]);
        let strict = Wish {
            fallback: Fallback::Nothing,
            ..wish
        };
        assert_eq!(order(&strict), [11]);
    }

    #[test]
    fn the_default_range_is_entered_at_the_seed_and_leaves_out_what_is_not_free_to_take() {
        let all: Vec<_> = Wish::default().candidates(5565, || None).collect();
        assert_eq!(all[0].port, port(25566), "25565 is well known");
        assert_eq!(all.last().unwrap().port, port(25564));
        assert_eq!(all.len(), 10_000 - 14);
        let anything = Wish::default();
        let few = anything.candidates(0, || "20002-65535".parse().ok());
        assert_eq!(
            few.map(|it| it.port.number()).collect::<Vec<_>>(),
            [20000, 20001]
        );
        let preferred = Wish {
            preferred: Some(port(8888)),
            ..Wish::default()
        };
        let first: Vec<_> = preferred.candidates(1, || None).take(2).collect();
        assert_eq!(
            (first[0].port, first[0].origin),
            (port(8888), Origin::Number)
        );
        assert_eq!(
            (first[1].port, first[1].origin),
            (port(20001), Origin::Default)
        );
    }
}
