//! How fast those who write over HTTP are. Speed is counted for each datastore.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use neap_core::{id::Name, rate::Cost};
use neap_http::{Buckets, Rates, Request, Settings, Todo, answer};

use crate::rows::SqlRows;

/// Those of all datastores of a shard.
#[derive(Default)]
pub(crate) struct Payers {
    buckets: Buckets,
}

impl Payers {
    /// Says what is to be done for a request of a datastore.
    pub(crate) fn plan(
        &mut self,
        settings: &Settings,
        id: &Name,
        mut request: Request,
    ) -> Todo<SqlRows> {
        request.pass.payer = at(id, request.pass.payer);
        answer(settings, &mut self.buckets, request)
    }

    /// What the sessions of a subject have taken counts where it speaks over HTTP too.
    pub(crate) fn charge(
        &mut self,
        rates: &Rates,
        id: &Name,
        costs: BTreeMap<u64, Cost>,
        now: u64,
    ) {
        for (subject, cost) in costs {
            self.buckets.charge(rates, at(id, subject), cost, now.saturating_mul(1_000));
        }
    }
}

fn at(id: &Name, payer: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (payer, &**id).hash(&mut hasher);
    hasher.finish()
}
