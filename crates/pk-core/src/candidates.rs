//! In which order ports are tried. Pure: it knows what was asked for, not what is free.

use crate::{Port, PortRange};

/// What a user said about the number, and what is known about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// The port that is asked for.
    pub preferred: Option<Port>,
    /// Ports that are tried even before that, in this order: numbers that it had before.
    pub remembered: Vec<Port>,
    /// Where to look else, in this order.
    pub ranges: Vec<PortRange>,
    /// What is never tried.
    pub excluded: Vec<PortRange>,
    /// Where each range is entered, in ports after its first. Where nothing is said, `ranges` begin
    /// with their first.
    pub place: Option<u32>,
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
    /// The ports to try, each once but for overlapping ranges. Without a place the default range is
    /// entered `seed` ports after its first, so that users who can't see each other's registry
    /// seldom meet. It leaves out well-known services and the range that the kernel hands out by
    /// itself, which `ephemeral` is asked for when it is needed.
    pub fn candidates(
        &self,
        seed: u32,
        ephemeral: impl FnOnce() -> Option<PortRange>,
    ) -> impl Iterator<Item = Candidate> {
        let is_search = self.fallback == Fallback::Search;
        let remembered = self.remembered.iter().filter(move |_| is_search);
        let mut numbers: Vec<Port> = Vec::new();
        for &port in remembered.chain(&self.preferred) {
            if !numbers.contains(&port) {
                numbers.push(port);
            }
        }
        let ranges = match self.fallback {
            Fallback::Search => self.ranges.as_slice(),
            Fallback::Nothing => &[],
        };
        let place = self.place;
        let ranged = ranges
            .iter()
            .flat_map(move |range| range.ports_from(place.unwrap_or(0)))
            .map(|port| (port, Origin::Range));
        let default = is_search && self.ranges.is_empty();
        let chosen = std::iter::once_with(ephemeral)
            .take(usize::from(default))
            .flat_map(move |ephemeral| {
                PortRange::DEFAULT
                    .ports_from(place.unwrap_or(seed))
                    .filter(move |port| {
                        let is_left_out = port.is_browser_blocked()
                            || port.is_well_known()
                            || ephemeral.is_some_and(|range| range.contains(*port));
                        !is_left_out
                    })
                    .map(|port| (port, Origin::Default))
            });
        let asked = numbers
            .clone()
            .into_iter()
            .map(|port| (port, Origin::Number));
        let found = ranged
            .chain(chosen)
            .filter(move |(port, _)| !numbers.contains(port));
        asked
            .chain(found)
            .filter(|(port, _)| !self.excludes(*port))
            .map(|(port, origin)| Candidate { port, origin })
    }

    /// Whether a port is one that is never tried.
    #[must_use]
    pub fn excludes(&self, port: Port) -> bool {
        self.excluded.iter().any(|range| range.contains(port))
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
            ..Wish::default()
        };
        let order = |wish: &Wish| -> Vec<u16> {
            wish.candidates(0, || unreachable!())
                .map(|it| it.port.number())
                .collect()
        };
        assert_eq!(order(&wish), [11, 10, 12, 5, 6]);
        let known = Wish {
            remembered: vec![port(12), port(40), port(11)],
            place: Some(7),
            ..wish.clone()
        };
        assert_eq!(order(&known), [12, 40, 11, 10, 6, 5]);
        let excluding = Wish {
            excluded: vec!["12-30".parse().unwrap(), "5-5".parse().unwrap()],
            ..known.clone()
        };
        assert_eq!(order(&excluding), [40, 11, 10, 6]);
        let strict = Wish {
            fallback: Fallback::Nothing,
            ..known
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
