//! The datastore as a text: exported at some moment, and imported later in place of what became of it.

use std::{collections::BTreeMap, rc::Rc};

use neap_core::{
    authority::{Admission, Authority, Moment, Trouble},
    id::ReplicaId,
};
use neap_http::{Buckets, Head, Pass, Piece, Request, Settings, Todo};

use super::{
    Check, fail,
    oracle::Life,
    relay::Input,
    storage::{Broken, Disk},
    world::{World, trace},
};

/// What was exported, and what it must be.
#[derive(Debug)]
pub(crate) struct Backup {
    text: Vec<u8>,
    life: Life,
    /// How much of whom the ledger knew.
    ledger: BTreeMap<ReplicaId, u64>,
}

impl Backup {
    /// Imports it, as a relay's shell does, with one byte changed where a place is given. Tells the status.
    pub(crate) fn restore(
        &self,
        authority: &mut Authority<Disk>,
        flaw: Option<usize>,
        moment: Moment,
    ) -> Result<u16, Trouble<Broken>> {
        let mut text = self.text.clone();
        if let Some(byte) = flaw.and_then(|place| text.get_mut(place)) {
            *byte ^= 1;
        }
        let Some(Todo::Import(mut importer)) = todo("POST", "import", moment.now) else {
            return Ok(500);
        };
        importer.feed(&text);
        importer.end();
        let mut status = 204;
        while status == 204
            && let Some(mut step) = importer.step()
        {
            status = step(authority, moment)?.status();
        }
        if status != 201 {
            importer.abort()(authority, moment)?;
        }
        Ok(status)
    }
}

/// What a relay makes of a request about the whole datastore.
fn todo(method: &str, what: &str, now: u64) -> Option<Todo<Disk>> {
    let head =
        Head::read(method, &format!("/v1/datastores/a/{what}"), |_| Ok::<_, ()>(None)).ok()?;
    let pass = Pass { id: "a".into(), admission: Admission::OPEN, payer: 0 };
    let request = Request { head, pass, body: Vec::new(), now };
    let settings = Settings::read(|_| None, |_| {});
    Some(neap_http::answer(&settings, &mut Buckets::default(), request))
}

impl World {
    /// Somebody exports the datastore as it is stored.
    pub(super) fn back_up(&mut self) -> Check {
        let Some(authority) = &self.relay.authority else { return Ok(()) };
        let Some(life) = self.oracle.lives.last() else { return Ok(()) };
        let Some(Todo::Export(mut exporter)) = todo("GET", "export", self.now) else {
            return fail("AR1", "an export is none".into());
        };
        let mut text = Vec::new();
        loop {
            match exporter.piece(authority, self.now) {
                Ok(Piece::More(piece)) => text.extend(piece),
                Ok(Piece::Last(piece)) => {
                    text.extend(piece);
                    break;
                }
                Ok(Piece::Gone) => return Ok(()),
                Err(trouble) => return fail("AR1", format!("an export failed: {trouble:?}")),
            }
        }
        trace!(self, "somebody: exports {}", String::from_utf8_lossy(&text));
        let known = |replica: &ReplicaId| (*replica, self.stored_entry(replica).settled());
        let ledger = life.ledger.keys().map(known).collect();
        self.backup = Some(Rc::new(Backup { text, life: life.clone(), ledger }));
        self.see("datastore exported");
        Ok(())
    }

    /// Somebody imports what was exported; sometimes a byte of it has changed on the way.
    pub(super) fn import(&mut self) {
        let Some(backup) = self.backup.clone() else { return };
        let place = self.random.below(backup.text.len());
        let flaw = self.random.once_in(4).then_some(place);
        self.relay.queue.push(Input::Import(backup, flaw));
    }

    /// An import makes what was exported under another epoch, or nothing.
    pub(super) fn take_import(
        &mut self,
        backup: &Backup,
        flaw: Option<usize>,
        status: u16,
    ) -> Check {
        trace!(self, "somebody: imports, {flaw:?}: {status}");
        let meta = self.stored_meta();
        if status != 201 {
            if flaw.is_none() || meta.is_some() {
                return fail("AR2", format!("an import is {status} and leaves {meta:?}"));
            }
            self.see("import refused");
            return Ok(());
        }
        let Some(meta) = meta.filter(|_| flaw.is_none()) else {
            return fail("AR2", format!("an import with a flaw at {flaw:?} was taken"));
        };
        let mut life = Life { epoch: meta.epoch, ..backup.life.clone() };
        if self.oracle.life(life.epoch).is_some() {
            return fail("AR2", "an import has an old epoch".into());
        }
        life.copied = life.outcomes.keys().chain(&life.arrived).copied().collect();
        life.answers.values_mut().for_each(|kept| kept.is_copied = true);
        for (replica, settled) in &backup.ledger {
            if self.stored_entry(replica).settled() != *settled {
                return fail("LE5", format!("the copy knows nothing of {replica:?}"));
            }
        }
        self.oracle.lives.push(life);
        self.see("datastore imported");
        self.check_stored(&meta, &BTreeMap::new())
    }
}
