//! The binding of the replica: numbers, texts and bytes across the boundary, nothing else. The
//! TypeScript of `wasm/npm` is what a JavaScript person sees.
//!
//! In the browser it stands without `std`, whose panic messages and allocator would be a quarter of it.
#![cfg_attr(all(target_arch = "wasm32", not(test)), no_std)]

extern crate alloc;

use alloc::{boxed::Box, string::String, vec, vec::Vec};

use neap_core::{
    datastore::{Kind, Options},
    id::{Epoch, ReplicaId, Seq, Turn},
    limits::INTEGER_MAX,
    mutation::{Condition, Malformed},
    pool::{Choice, Retain},
    replica::{Journal, OpKind, Phase, Replica, Watch},
    wire,
};
use wasm_bindgen::prelude::wasm_bindgen;

mod convert;
mod error;
#[cfg(all(target_arch = "wasm32", not(test)))]
mod platform;

use convert::PIECE_BYTES;

/// One replica. After every call that is not a getter the caller drains [`changes`](Self::changes),
/// [`events`](Self::events), [`block`](Self::block), [`journal`](Self::journal) and
/// [`frame`](Self::frame), in this order.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Core {
    replica: Replica,
    block: (Turn, Turn),
    dump: Vec<Box<str>>,
    dumped: usize,
    dump_of: Box<str>,
}

#[wasm_bindgen]
impl Core {
    /// Starts a replica that holds nothing. `id` and `spare` are 16 random bytes each.
    #[wasm_bindgen(constructor)]
    pub fn new(
        id: &[u8],
        spare: &[u8],
        seed: u32,
        kind: Option<String>,
        primary: Option<String>,
        ttl: Option<u32>,
        sliding: Option<bool>,
    ) -> Core {
        let kind = kind.as_deref().and_then(Kind::from_name);
        let options = Options { kind, primary: primary.map(Into::into), ttl, sliding };
        Core {
            replica: Replica::new(replica_id(id), replica_id(spare), u64::from(seed), options),
            block: (Turn::ZERO, Turn::ZERO),
            dump: Vec::new(),
            dumped: 0,
            dump_of: "".into(),
        }
    }

    /// Gives it fresh random bytes for another id, after the event `renumbered`.
    #[wasm_bindgen(js_name = setSpare)]
    pub fn set_spare(&mut self, spare: &[u8]) {
        self.replica.set_spare(replica_id(spare));
    }

    // Restoring.

    /// Takes back what [`info`](Self::info) gave.
    #[wasm_bindgen(js_name = restoreInfo)]
    pub fn restore_info(&mut self, bytes: &[u8]) -> bool {
        self.replica.restore_info(bytes).is_ok()
    }

    /// Takes back what [`account`](Self::account) gave.
    #[wasm_bindgen(js_name = restoreAccount)]
    pub fn restore_account(&mut self, bytes: &[u8]) -> bool {
        self.replica.restore_account(bytes).is_ok()
    }

    /// Takes back a page of the checkpoint.
    #[wasm_bindgen(js_name = restorePage)]
    pub fn restore_page(&mut self, bytes: &[u8]) -> bool {
        self.replica.restore_page(bytes).is_ok()
    }

    /// Takes back a frame of the log.
    #[wasm_bindgen(js_name = restoreFrame)]
    pub fn restore_frame(&mut self, bytes: &[u8]) -> bool {
        self.replica.restore_frame(bytes).is_ok()
    }

    /// Drops all records that were taken back, after one of the above has failed.
    #[wasm_bindgen(js_name = dropRecords)]
    pub fn drop_records(&mut self) {
        self.replica.drop_records();
    }

    /// Takes back an outbox block that was stored under its first turn.
    #[wasm_bindgen(js_name = restoreBlock)]
    pub fn restore_block(&mut self, first: f64, bytes: &[u8]) -> bool {
        self.replica.restore_block(Turn(integer(first)), bytes).is_ok()
    }

    /// Stands in for an account that cannot be read, where the outbox begins at turn `first`.
    #[wasm_bindgen(js_name = restoreWithoutAccount)]
    pub fn restore_without_account(&mut self, first: f64) {
        self.replica.restore_without_account(Turn(integer(first)));
    }

    /// Puts empty mutations in the place of those up to `last` that cannot be taken back: how many.
    #[wasm_bindgen(js_name = restoreGap)]
    pub fn restore_gap(&mut self, last: f64) -> f64 {
        float(self.replica.restore_gap(Turn(integer(last))))
    }

    /// The checksum under which bytes are stored that all replicas of a place share.
    pub fn checksum(&self, bytes: &[u8], from: f64, to: f64) -> u32 {
        wire::checksum(bytes, [integer(from), integer(to)], &[])
    }

    /// The checksum under which bytes are stored that belong to this replica.
    #[wasm_bindgen(js_name = ownChecksum)]
    pub fn own_checksum(&self, bytes: &[u8], first: f64, last: f64) -> u32 {
        self.replica.own_checksum(bytes, Turn(integer(first)), Turn(integer(last)))
    }

    /// Everything has been taken back.
    pub fn restored(&mut self) {
        self.replica.restored();
    }

    // Writing.

    /// Makes one mutation of each record of a JSON array. 0, or an error's number.
    #[wasm_bindgen(js_name = setMany)]
    pub fn set_many(&mut self, collection: &str, records: &str) -> u32 {
        outcome(self.replica.set_many(collection, records))
    }

    /// Makes a mutation of one op: its turn, or minus an error's number.
    pub fn mutate(
        &mut self,
        kind: u8,
        collection: &str,
        key: &str,
        json: &str,
        condition: u8,
        seq: f64,
    ) -> f64 {
        let condition = condition_of(condition, seq);
        turn_or_error(self.replica.mutate(op_kind(kind), collection, key, json, condition))
    }

    /// Begins a mutation of several ops.
    pub fn begin(&mut self) {
        self.replica.begin();
    }

    /// Adds an unconditional set of each record of a JSON array to it. 0, or an error's number.
    pub fn sets(&mut self, collection: &str, records: &str) -> u32 {
        outcome(self.replica.sets(collection, records))
    }

    /// Adds an op to it. 0, or an error's number.
    pub fn op(
        &mut self,
        kind: u8,
        collection: &str,
        key: &str,
        json: &str,
        condition: u8,
        seq: f64,
    ) -> u32 {
        let condition = condition_of(condition, seq);
        outcome(self.replica.op(op_kind(kind), collection, key, json, condition))
    }

    /// Reads a record as the mutation that was begun sees it.
    #[wasm_bindgen(js_name = draftGet)]
    pub fn draft_get(&self, collection: &str, key: &str) -> Option<String> {
        self.replica.draft_get(collection, key).map(Into::into)
    }

    /// Completes the mutation that was begun: its turn, or minus an error's number.
    pub fn commit(&mut self) -> f64 {
        turn_or_error(self.replica.commit())
    }

    /// Drops the mutation that was begun.
    pub fn abort(&mut self) {
        self.replica.abort();
    }

    /// The newest turn that was minted.
    #[wasm_bindgen(js_name = lastTurn)]
    pub fn last_turn(&self) -> f64 {
        float(self.replica.minted().0)
    }

    /// The public code of an error's number.
    #[wasm_bindgen(js_name = errorCode)]
    pub fn error_code(number: u32) -> String {
        error::malformed(number).map_or("invalid-data", Malformed::code).into()
    }

    /// What an error's number says to a person.
    #[wasm_bindgen(js_name = errorMessage)]
    pub fn error_message(number: u32) -> String {
        error::malformed(number).map_or("", Malformed::message).into()
    }

    // Pools, by their marked names: read like collections, items under their identities.

    /// Opens a pool. 0, or an error's number.
    #[wasm_bindgen(js_name = openPool)]
    pub fn open_pool(
        &mut self,
        pool: &str,
        primary: Option<String>,
        retain: Option<String>,
    ) -> u32 {
        let retain = retain.as_deref().and_then(Retain::from_name);
        outcome(self.replica.open_pool(pool, Choice { primary: primary.as_deref(), retain }))
    }

    /// Adds a JSON array of canonical items: the turn that tells their outcome, 0 where the order knows
    /// them all, or minus an error's number.
    pub fn add(&mut self, pool: &str, items: &str) -> f64 {
        turn_or_error(self.replica.add(pool, items).map(|turn| turn.unwrap_or(Turn::ZERO)))
    }

    /// The identity of a canonical item; nothing for what is no item.
    pub fn identify(&self, pool: &str, item: &str) -> Option<String> {
        self.replica.identify(pool, item).ok()
    }

    /// On what a pool has converged, as `[seq, digest]`; nothing where it has not.
    pub fn convergence(&self, pool: &str) -> Option<String> {
        let state = self.replica.pool_state(pool).filter(|state| state.converged)?;
        Some(convert::convergence(state))
    }

    // Reading.

    /// Reads a record of the view as JSON.
    pub fn get(&self, collection: &str, key: &str) -> Option<String> {
        self.replica.get(collection, key).map(Into::into)
    }

    /// Whether the view has a record.
    pub fn has(&self, collection: &str, key: &str) -> bool {
        self.replica.get(collection, key).is_some()
    }

    /// How many records of a collection the view has.
    pub fn size(&self, collection: &str) -> usize {
        self.replica.size(collection)
    }

    /// A record's confirmed seq, or -1.
    #[wasm_bindgen(js_name = metaSeq)]
    pub fn meta_seq(&self, collection: &str, key: &str) -> f64 {
        self.replica.meta(collection, key).seq.map_or(-1.0, |seq| float(seq.0))
    }

    /// Whether a mutation that speaks of a record has no outcome.
    #[wasm_bindgen(js_name = metaPending)]
    pub fn meta_pending(&self, collection: &str, key: &str) -> bool {
        self.replica.meta(collection, key).pending
    }

    /// Begins to read a whole collection.
    #[wasm_bindgen(js_name = dumpBegin)]
    pub fn dump_begin(&mut self, collection: &str) {
        self.dump = self.replica.keys(collection);
        self.dump_of = collection.into();
        self.dumped = 0;
    }

    /// The next piece of it: `[[key, record], …]` in the order of the keys' bytes.
    #[wasm_bindgen(js_name = dumpNext)]
    pub fn dump_next(&mut self) -> Option<String> {
        let keys = self.dump.get(self.dumped..).filter(|keys| !keys.is_empty());
        let Some(keys) = keys else {
            self.dump = Vec::new();
            return None;
        };
        let mut out = vec![b'['];
        let mut done = 0;
        for key in keys {
            if out.len() >= PIECE_BYTES {
                break;
            }
            done += 1;
            let Some(data) = self.replica.get(&self.dump_of, key) else { continue };
            if out.len() > 1 {
                out.push(b',');
            }
            out.push(b'[');
            neap_core::value::write_string(&mut out, key);
            out.push(b',');
            out.extend(data.bytes());
            out.push(b']');
        }
        self.dumped += done;
        out.push(b']');
        Some(convert::text(out))
    }

    /// Sets how much [`changes`](Self::changes) tells of a collection: 0 nothing, 1 keys, 2 records.
    pub fn watch(&mut self, collection: &str, level: u8) {
        let watch = match level {
            0 => Watch::Nothing,
            1 => Watch::Keys,
            _ => Watch::Records,
        };
        self.replica.watch(collection, watch);
    }

    // Draining.

    /// The next piece of the view's changes: `[collection, origin, [[key, before?, after?], …]]`.
    pub fn changes(&mut self) -> Option<String> {
        let (origin, first) = self.replica.take_changes()?;
        let mut out = convert::begin_changes(&first.collection, origin);
        convert::write_change(&mut out, &first);
        while out.len() < PIECE_BYTES
            && let Some((_, change)) =
                self.replica.take_changes_of(&first.collection, origin, first.watch)
        {
            out.push(b',');
            convert::write_change(&mut out, &change);
        }
        Some(convert::end_changes(out))
    }

    /// What has happened, as a JSON array of events.
    pub fn events(&mut self) -> Option<String> {
        let events: Vec<_> = core::iter::from_fn(|| self.replica.take_events()).collect();
        if events.is_empty() { None } else { Some(convert::events_to_json(events)) }
    }

    /// The next outbox block to store, under its first turn.
    pub fn block(&mut self) -> Option<Vec<u8>> {
        let (first, last, block) = self.replica.take_block()?;
        self.block = (first, last);
        Some(block)
    }

    /// The first turn of the last block.
    #[wasm_bindgen(js_name = blockFirst)]
    pub fn block_first(&self) -> f64 {
        float(self.block.0.0)
    }

    /// The last turn of the last block.
    #[wasm_bindgen(js_name = blockLast)]
    pub fn block_last(&self) -> f64 {
        float(self.block.1.0)
    }

    /// What of the frame just taken belongs into the stored state: 0 nothing, 1 the frame, 2 all
    /// pages since the catch-up began or a checkpoint, 3 a checkpoint in place of everything.
    pub fn journal(&mut self) -> u8 {
        match self.replica.take_journal() {
            Journal::Nothing => 0,
            Journal::Frame => 1,
            Journal::Pages => 2,
            Journal::Checkpoint => 3,
        }
    }

    /// The next frame to send.
    pub fn frame(&mut self) -> Option<Vec<u8>> {
        self.replica.take_frame()
    }

    // Storing.

    /// The outbox up to this turn is on the disk.
    pub fn durable(&mut self, turn: f64) {
        self.replica.durable(Turn(integer(turn)));
    }

    /// What was settled up to this turn is on the disk.
    pub fn saved(&mut self, turn: f64) {
        self.replica.saved(Turn(integer(turn)));
    }

    /// Info and account are on the disk; pushes wait for it after the event `welcome`.
    #[wasm_bindgen(js_name = infoSaved)]
    pub fn info_saved(&mut self) {
        self.replica.info_saved();
    }

    /// What is to be stored of the datastore, if anything is known of it.
    pub fn info(&self) -> Option<Vec<u8>> {
        self.replica.info()
    }

    /// What is to be stored of this replica.
    pub fn account(&self) -> Vec<u8> {
        self.replica.account()
    }

    /// Pages of a checkpoint.
    #[wasm_bindgen(js_name = pageCount)]
    pub fn page_count(&self) -> usize {
        self.replica.page_count()
    }

    /// A page that has changed since it was last encoded, or -1.
    #[wasm_bindgen(js_name = dirtyPage)]
    pub fn dirty_page(&self) -> i32 {
        self.replica.dirty_page().and_then(|page| i32::try_from(page).ok()).unwrap_or(-1)
    }

    /// Encodes a page of the checkpoint.
    pub fn page(&mut self, page: usize) -> Vec<u8> {
        self.replica.page(page)
    }

    // The connection.

    /// A connection stands.
    pub fn connected(&mut self, now: f64) {
        self.replica.connected(integer(now));
    }

    /// Takes a frame. 0, or 1: close the connection and open another one.
    pub fn received(&mut self, frame: &[u8], now: f64) -> u8 {
        u8::from(self.replica.received(frame, integer(now)).is_err())
    }

    /// The connection is gone.
    pub fn closed(&mut self, code: u16) {
        self.replica.closed(code);
    }

    /// Takes the answer to a ping. 0, or 1 as in [`received`](Self::received).
    pub fn pong(&mut self, text: &str, now: f64) -> u8 {
        u8::from(self.replica.pong(text, integer(now)).is_err())
    }

    /// The disk can be written no more. 0, or 1 as in [`received`](Self::received).
    #[wasm_bindgen(js_name = forsakeDisk)]
    pub fn forsake_disk(&mut self) -> u8 {
        u8::from(self.replica.forsake_disk().is_err())
    }

    /// Shows the others a state, as JSON; nothing where it is empty.
    pub fn show(&mut self, json: &str) {
        self.replica.show(if json.is_empty() { None } else { Some(json) });
    }

    /// Lets time pass. 0, or 1 as in [`received`](Self::received).
    pub fn tick(&mut self, now: f64) -> u8 {
        u8::from(self.replica.tick(integer(now)).is_err())
    }

    /// When [`tick`](Self::tick) wants to be called, in milliseconds since 1970, or -1.
    pub fn deadline(&self) -> f64 {
        self.replica.deadline().map_or(-1.0, float)
    }

    // Siblings.

    /// There may be siblings in other tabs.
    #[wasm_bindgen(js_name = meetSiblings)]
    pub fn meet_siblings(&mut self) {
        self.replica.meet_siblings();
    }

    /// All that a sibling had on the disk is settled, with effects up to `seq` of a life.
    #[wasm_bindgen(js_name = siblingDone)]
    pub fn sibling_done(&mut self, id: &[u8], epoch: &str, seq: f64) {
        self.replica.sibling_is_done(replica_id(id), Epoch::from_hex(epoch), Seq(integer(seq)));
    }

    /// Somebody else has its place on the disk. 0, or 1 as in [`received`](Self::received).
    pub fn dispossess(&mut self) -> u8 {
        u8::from(self.replica.dispossess().is_err())
    }

    /// The next note for them.
    pub fn note(&mut self) -> Option<Vec<u8>> {
        self.replica.take_note()
    }

    /// Takes a note of a sibling; one that cannot be read changes nothing.
    pub fn heard(&mut self, note: &[u8]) {
        let _ = self.replica.hear_note(note);
    }

    // Status.

    /// The newest confirmed seq that it holds.
    pub fn seq(&self) -> f64 {
        float(self.replica.seq().0)
    }

    /// The newest seq that it has heard of.
    pub fn head(&self) -> f64 {
        float(self.replica.head().0)
    }

    /// How many of its mutations have no outcome.
    pub fn pending(&self) -> usize {
        self.replica.pending()
    }

    /// Its newest settled turn.
    pub fn settled(&self) -> f64 {
        float(self.replica.settled().0)
    }

    /// 0 offline, 1 greeting, 2 catching up, 3 live, 4 stopped.
    pub fn phase(&self) -> u8 {
        match self.replica.phase() {
            Phase::Offline => 0,
            Phase::Greeting => 1,
            Phase::CatchingUp => 2,
            Phase::Live => 3,
            Phase::Stopped => 4,
        }
    }

    /// This incarnation of the datastore.
    pub fn epoch(&self) -> Option<String> {
        self.replica.epoch().map(neap_core::id::Epoch::to_hex)
    }

    /// Last moment of the datastore's life, in milliseconds since 1970, or -1.
    #[wasm_bindgen(js_name = expiresAt)]
    pub fn expires_at(&self) -> f64 {
        self.replica.datastore().and_then(|info| info.expires_at).map_or(-1.0, float)
    }

    /// `temp` or `permanent`.
    pub fn kind(&self) -> String {
        self.replica.kind().name().into()
    }

    /// The primary field.
    pub fn primary(&self) -> String {
        self.replica.primary().into()
    }

    /// Its id: 16 bytes that are nobody else's business.
    pub fn id(&self) -> Vec<u8> {
        self.replica.id().0.into()
    }

    /// Stands for it in public: 16 hex digits.
    #[wasm_bindgen(js_name = replicaTag)]
    pub fn replica_tag(&self) -> String {
        self.replica.tag()
    }

    /// Digest of the confirmed records, as 32 hex digits.
    pub fn digest(&self) -> String {
        self.replica.digest().to_hex()
    }
}

fn replica_id(bytes: &[u8]) -> ReplicaId {
    ReplicaId(bytes.try_into().unwrap_or([0; 16]))
}

fn op_kind(kind: u8) -> OpKind {
    match kind {
        0 => OpKind::Set,
        1 => OpKind::Patch,
        _ => OpKind::Delete,
    }
}

fn condition_of(condition: u8, seq: f64) -> Condition {
    match condition {
        0 => Condition::None,
        1 => Condition::Seq(Seq(integer(seq))),
        2 => Condition::Absent,
        _ => Condition::Present,
    }
}

fn outcome(result: Result<(), Malformed>) -> u32 {
    result.map_or_else(error::number, |()| 0)
}

fn turn_or_error(result: Result<Turn, Malformed>) -> f64 {
    result.map_or_else(|error| -f64::from(error::number(error)), |turn| float(turn.0))
}

/// A JavaScript number as the integer that it is; JavaScript never sends more than 2^53 - 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded before")]
fn integer(number: f64) -> u64 {
    (number as u64).min(INTEGER_MAX)
}

/// An integer below 2^53 as a JavaScript number.
#[expect(clippy::cast_precision_loss, reason = "seqs, turns and times stay below 2^53")]
fn float(number: u64) -> f64 {
    number as f64
}
