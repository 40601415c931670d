//! Which stories a seed tells beside that of edits and cuts.

use super::random::Random;

/// What happens in a seed that does not happen in every one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes {
    /// Apps add to merge pools.
    pub(crate) pools: bool,
    /// Years pass, and a permanent datastore forgets replicas.
    pub(crate) years: bool,
    /// Disks can be written no more, and are read later.
    pub(crate) forsakes: bool,
    /// Some replicas are siblings over one disk.
    pub(crate) tabs: bool,
    /// Requests come under an `Idempotency-Key`, and are repeated.
    pub(crate) once: bool,
    /// The datastore is exported, and imported again in place of what became of it meanwhile.
    pub(crate) copies: bool,
}

impl Lanes {
    pub(crate) const NONE: Lanes = Lanes {
        pools: false,
        years: false,
        forsakes: false,
        tabs: false,
        once: false,
        copies: false,
    };

    /// A seed's lanes take no chance from the rest of its story.
    pub(crate) fn of(seed: u64) -> Lanes {
        let mut random = Random::new(!seed);
        let mut lanes = Lanes {
            pools: random.once_in(2),
            years: random.once_in(3),
            forsakes: random.once_in(3),
            tabs: random.once_in(3),
            once: random.once_in(3),
            copies: random.once_in(3),
        };
        // A copy knows who had been there when it was exported, and nothing of the years after that.
        lanes.copies &= !lanes.years;
        lanes
    }
}
