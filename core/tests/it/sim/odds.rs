//! How often things go wrong.

use super::random::Random;

/// How often the rarer things happen in this seed, each once in so many steps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Odds {
    pub(crate) cut: usize,
    pub(crate) restart: usize,
    pub(crate) sleep: usize,
    pub(crate) trap: usize,
    pub(crate) kill: usize,
    pub(crate) crash: usize,
    pub(crate) lose_disk: usize,
    pub(crate) checkpoint: usize,
    pub(crate) destroy: usize,
    pub(crate) expire: usize,
    pub(crate) clock: usize,
    pub(crate) request: usize,
    pub(crate) stall: usize,
}

impl Odds {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut odds = |often: usize| match random.below(4) {
            0 => usize::MAX,
            1 => often * 4,
            _ => often,
        };
        Odds {
            cut: odds(40),
            restart: odds(200),
            sleep: odds(15),
            trap: odds(8),
            kill: odds(20),
            crash: odds(60),
            lose_disk: odds(300),
            checkpoint: odds(25),
            destroy: odds(400),
            expire: odds(400),
            clock: odds(30),
            request: odds(30),
            stall: odds(50),
        }
    }
}
