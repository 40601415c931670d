//! What apps asked and were told, in the order of time, for a judge that knows nothing of this simulator.

use std::{collections::BTreeSet, rc::Rc};

use neap_core::{
    id::{Epoch, Turn},
    mutation::{Outcome, Reason, Refusal},
};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester, SequentialSpec};

use super::{
    Check, fail,
    naive::{Id, Op, State},
    oracle::{Life, Oracle, Order},
    sabotage::Sabotage,
    world::World,
};

/// A moment of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// It made a mutation.
    Invoked(Id),
    /// It was told what became of it in this life.
    Returned(Id, Epoch, Outcome),
}

impl World {
    /// An app is told of an outcome: the oldest that it waits for, and the one that the order gave.
    pub(crate) fn told(&mut self, place: usize, turn: Turn, outcome: Outcome) -> Check {
        let client = &mut self.clients[place];
        let epoch = client.replica.epoch();
        let Some(entry) = client.pending.pop_front() else {
            return fail("RE7", format!("told of turn {}, and nothing is pending", turn.0));
        };
        let id = entry.id;
        // Under an id that the disk never had, whoever took that place may have made another of the same name.
        if matches!(outcome, Outcome::Refused(Refusal { reason: Reason::OutcomeUnknown, .. })) {
            return self.told_unknown(place, id);
        }
        let named = self.oracle.names.get(&(client.id, turn)).map(|(id, _)| *id);
        if named != Some(id) {
            return fail("RE7", format!("told of turn {}, but {id} is next", turn.0));
        }
        let adds = self.oracle.mutations[id].adds.is_some();
        let outcome = match outcome {
            Outcome::Accepted(seq) if adds => Outcome::Added(seq),
            outcome => outcome,
        };
        let is_told = self.oracle.told.contains(&id);
        let life = epoch.and_then(|epoch| self.oracle.life(epoch));
        if life.and_then(|life| life.outcomes.get(&id)) != Some(&outcome) {
            if outcome == Outcome::Unchanged && is_told && self.clients[place].is_later {
                self.see("told by the life before");
                self.unheard(place, id);
                return Ok(());
            }
            return fail("RE7", format!("mutation {id} was told {outcome:?}"));
        }
        if life.is_some_and(|life| life.copied.contains(&id)) {
            self.report.sights.see("settled by an imported ledger");
        }
        if let Some(epoch) = epoch.filter(|_| !adds) {
            self.said.push(Said::Returned(id, epoch, outcome));
        }
        self.oracle.told.insert(id);
        let client = &self.clients[place];
        let was_doomed = client.doomed.contains(&id);
        match outcome {
            Outcome::Accepted(_) if was_doomed => self.see("predicted refusal accepted"),
            Outcome::Refused(_) if !was_doomed => self.see("prediction overturned"),
            Outcome::Accepted(_) | Outcome::Added(_) | Outcome::Unchanged | Outcome::Refused(_) => {
            }
        }
        if self.sabotage == Some(Sabotage::TellTwice) && self.random.once_in(10) {
            return self.told(place, turn, outcome);
        }
        Ok(())
    }
}

impl Said {
    /// Which mutation it tells the outcome of, in this life.
    fn told(&self, epoch: Epoch) -> Option<Id> {
        match self {
            Said::Returned(id, of, _) if *of == epoch => Some(*id),
            Said::Returned(..) | Said::Invoked(_) => None,
        }
    }
}

/// The order as it must be: one mutation after the other.
#[derive(Clone, Debug)]
struct Sequential {
    state: State,
    order: Order,
}

impl SequentialSpec for Sequential {
    type Op = (Id, Rc<Vec<Op>>);
    type Ret = Outcome;

    fn invoke(&mut self, (id, ops): &Self::Op) -> Outcome {
        let (outcome, state, _) = self.order.verdict(&self.state, *id, ops);
        if let Outcome::Accepted(seq) = outcome {
            self.state = state;
            self.order.head = seq.0;
        }
        outcome
    }
}

/// Whether what apps were told in one life fits one order that respects time: of the first `most` mutations
/// that arrived, since the search for an order grows with their number.
pub(crate) fn is_linearizable(oracle: &Oracle, life: &Life, said: &[Said], most: usize) -> bool {
    let told: BTreeSet<Id> = said.iter().filter_map(|said| said.told(life.epoch)).collect();
    // What nobody was told of counts where it had an effect.
    let counts =
        |id: &Id| told.contains(id) || matches!(life.outcomes.get(id), Some(Outcome::Accepted(_)));
    let slice: BTreeSet<Id> = life.arrived.iter().take(most).copied().filter(counts).collect();
    let order = Order { epoch: life.epoch, head: 0, records_max: life.records_max };
    let mut tester = LinearizabilityTester::new(Sequential { state: State::new(), order });
    // An app that came back from its disk may be told once more.
    let mut waiting = slice.clone();
    let sound = said.iter().all(|moment| match moment {
        Said::Invoked(id) if slice.contains(id) => {
            let ops = life.bent.get(id).unwrap_or(&oracle.mutations[*id].ops);
            tester.on_invoke(*id, (*id, Rc::clone(ops))).is_ok()
        }
        Said::Returned(id, of, outcome) if *of == life.epoch && waiting.remove(id) => {
            tester.on_return(*id, *outcome).is_ok()
        }
        Said::Invoked(_) | Said::Returned(..) => true,
    });
    sound && tester.is_consistent()
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Lanes, Plan},
        *,
    };

    /// What was said, but two mutations were told each other's seqs, of which one was answered before the
    /// other was made.
    fn lie(said: &[Said], life: &Life, most: usize) -> Option<Vec<Said>> {
        let first: BTreeSet<Id> = life.arrived.iter().take(most).copied().collect();
        let accepted = |(at, said): (usize, &Said)| match said {
            Said::Returned(id, of, Outcome::Accepted(_)) => {
                (*of == life.epoch && first.contains(id)).then_some((at, *id))
            }
            Said::Returned(..) | Said::Invoked(_) => None,
        };
        let told: Vec<(usize, Id)> = said.iter().enumerate().filter_map(accepted).collect();
        let made = |id: Id| said.iter().position(|said| *said == Said::Invoked(id));
        let mut pairs = told.iter().flat_map(|one| told.iter().map(move |other| (one, other)));
        let (one, other) = pairs.find(|(one, other)| made(other.1).is_some_and(|at| at > one.0))?;
        let mut lied = said.to_vec();
        let (Said::Returned(_, _, early), Said::Returned(_, _, late)) =
            (said[one.0], said[other.0])
        else {
            return None;
        };
        lied[one.0] = Said::Returned(one.1, life.epoch, late);
        lied[other.0] = Said::Returned(other.1, life.epoch, early);
        Some(lied)
    }

    /// [AP5] What apps asked and were told fits one order that respects time, says stateright's tester.
    #[test]
    fn ap5_histories_are_linearizable() {
        let (mut lives, mut lies) = (0, 0);
        for seed in 0..60 {
            let mut world =
                World::new(Plan { seed, lanes: Lanes::of(seed), sabotage: None, traced: false });
            assert_eq!(world.live(), Ok(()), "seed {seed}");
            // A copy does not begin with nothing.
            for life in world.oracle.lives.iter().filter(|life| life.copied.is_empty()) {
                let fits = |said: &[Said], most| is_linearizable(&world.oracle, life, said, most);
                assert!(fits(&world.said, 12), "seed {seed}");
                lives += 1;
                if let Some(lied) = lie(&world.said, life, 8) {
                    assert!(!fits(&lied, 8), "seed {seed}: it does not notice a lie");
                    lies += 1;
                }
            }
        }
        assert!(lives >= 60 && lies >= 5, "{lives} lives, {lies} lies");
    }
}
