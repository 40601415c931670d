//! What JavaScript can call. After every call that is not a getter it drains the outputs, as
//! [`Replica`] says. What gives a text or bytes gives their length, or -1
//! for nothing; they lie at `output` until the next one does.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "exports have names"))]

use alloc::vec::Vec;

use crate::{
    Choice, Core, Epoch, Journal, Kind, Options, Phase, Replica, Retain, Seq, Turn, Watch,
    boundary::{self, exports},
    condition_of, convert, float, integer, op_kind, outcome, replica_id, turn, turn_or_error, wire,
};

/// Gives room for so many bytes, which the next call takes.
#[cfg_attr(target_arch = "wasm32", unsafe(export_name = "input"))]
pub extern "C" fn input(length: usize) -> *mut u8 {
    boundary::input(length)
}

/// Starts the replica, which holds nothing. Its id and the spare one, 16 random bytes each, come first.
#[cfg_attr(target_arch = "wasm32", unsafe(export_name = "start"))]
pub extern "C" fn start(kind: i32, primary: i32, ttl: f64, sliding: i32, seed: u32) {
    boundary::start(|input| {
        let (id, spare) = (replica_id(input.bytes(16)), replica_id(input.bytes(16)));
        let options = Options {
            kind: input.option(kind).and_then(Kind::from_name),
            primary: input.option(primary).map(Into::into),
            ttl: u32::try_from(integer(ttl)).ok().filter(|ttl| *ttl > 0),
            sliding: (sliding >= 0).then_some(sliding > 0),
        };
        Core::new(Replica::new(id, spare, u64::from(seed), options))
    });
}

/// Takes back a page of the checkpoint, of so many bytes, which stays where it lies.
#[cfg_attr(target_arch = "wasm32", unsafe(export_name = "restorePage"))]
pub extern "C" fn restore_page(length: usize) -> bool {
    boundary::hand_over(length, |core, page| core.replica.restore_page(page).is_ok())
}

exports! {
    /// Where the text or the bytes lie that were given last.
    "output" fn output(core, _input) -> usize { core.output.as_ptr() as usize }

    // Restoring.

    /// Gives it fresh random bytes for another id, after the event `renumbered`.
    "setSpare" fn set_spare(core, input, spare: usize) {
        core.replica.set_spare(replica_id(input.bytes(spare)));
    }

    /// Takes back what `info` gave.
    "restoreInfo" fn restore_info(core, input, bytes: usize) -> bool {
        core.replica.restore_info(input.bytes(bytes)).is_ok()
    }

    /// Takes back what `account` gave.
    "restoreAccount" fn restore_account(core, input, bytes: usize) -> bool {
        core.replica.restore_account(input.bytes(bytes)).is_ok()
    }

    /// Takes back a page as older packages have stored it.
    "restoreRows" fn restore_rows(core, input, bytes: usize) -> bool {
        core.replica.restore_rows(input.bytes(bytes)).is_ok()
    }

    /// Takes back a frame of the log.
    "restoreFrame" fn restore_frame(core, input, bytes: usize) -> bool {
        core.replica.restore_frame(input.bytes(bytes)).is_ok()
    }

    /// Drops all records that were taken back, after one of the above has failed.
    "dropRecords" fn drop_records(core, _input) { core.replica.drop_records(); }

    /// Takes back an outbox block that was stored under its first turn.
    "restoreBlock" fn restore_block(core, input, first: f64, bytes: usize) -> bool {
        core.replica.restore_block(turn(first), input.bytes(bytes)).is_ok()
    }

    /// Stands in for an account that cannot be read, where the outbox begins at turn `first`.
    "restoreWithoutAccount" fn restore_without_account(core, _input, first: f64) {
        core.replica.restore_without_account(turn(first));
    }

    /// Puts empty mutations in the place of those up to `last` that cannot be taken back: how many.
    "restoreGap" fn restore_gap(core, _input, last: f64) -> f64 {
        float(core.replica.restore_gap(turn(last)))
    }

    /// The checksum under which bytes are stored that all replicas of a place share.
    "checksum" fn checksum(_core, input, bytes: usize, from: f64, to: f64) -> f64 {
        wire::checksum(input.bytes(bytes), [integer(from), integer(to)], &[]).into()
    }

    /// The checksum under which bytes are stored that belong to this replica.
    "ownChecksum" fn own_checksum(core, input, bytes: usize, first: f64, last: f64) -> f64 {
        core.replica.own_checksum(input.bytes(bytes), turn(first), turn(last)).into()
    }

    /// Everything has been taken back.
    "restored" fn restored(core, _input) { core.replica.restored(); }

    // Writing.

    /// Makes one mutation of each record of a JSON array. 0, or an error's number.
    "setMany" fn set_many(core, input, collection: usize, records: usize) -> u32 {
        let collection = input.text(collection);
        outcome(core.replica.set_many(collection, input.text(records)))
    }

    /// Makes a mutation of one op: its turn, or minus an error's number.
    "mutate" fn mutate(
        core, input, kind: u32, condition: u32, seq: f64, collection: usize, key: usize, json: usize
    ) -> f64 {
        let [collection, key, json] = [collection, key, json].map(|length| input.text(length));
        let condition = condition_of(condition, seq);
        turn_or_error(core.replica.mutate(op_kind(kind), collection, key, json, condition))
    }

    /// Begins a mutation of several ops.
    "begin" fn begin(core, _input) { core.replica.begin(); }

    /// Adds an unconditional set of each record of a JSON array to it. 0, or an error's number.
    "sets" fn sets(core, input, collection: usize, records: usize) -> u32 {
        let collection = input.text(collection);
        outcome(core.replica.sets(collection, input.text(records)))
    }

    /// Adds an op to it. 0, or an error's number.
    "op" fn op(
        core, input, kind: u32, condition: u32, seq: f64, collection: usize, key: usize, json: usize
    ) -> u32 {
        let [collection, key, json] = [collection, key, json].map(|length| input.text(length));
        let condition = condition_of(condition, seq);
        outcome(core.replica.op(op_kind(kind), collection, key, json, condition))
    }

    /// Reads a record as the mutation that was begun sees it.
    "draftGet" fn draft_get(core, input, collection: usize, key: usize) -> i32 {
        let collection = input.text(collection);
        let found = core.replica.draft_get(collection, input.text(key)).map(Vec::from);
        core.give(found)
    }

    /// Completes the mutation that was begun: its turn, or minus an error's number.
    "commit" fn commit(core, _input) -> f64 { turn_or_error(core.replica.commit()) }

    /// The mutation that was begun undoes a pending one: whether nobody is known to have come in between.
    "undo" fn undo(core, _input, undone: f64) -> bool { core.replica.undo(turn(undone)) }

    /// Drops the mutation that was begun.
    "abort" fn abort(core, _input) { core.replica.abort(); }

    /// The newest turn that was minted.
    "lastTurn" fn last_turn(core, _input) -> f64 { float(core.replica.minted().0) }

    // Pools, by their marked names: read like collections, items under their identities.

    /// Opens a pool: whether it is open with these terms.
    "openPool" fn open_pool(core, input, pool: usize, primary: i32, retain: i32) -> bool {
        let (pool, primary) = (input.text(pool), input.option(primary));
        let retain = input.option(retain).and_then(Retain::from_name);
        core.replica.open_pool(pool, Choice { primary, retain }).unwrap_or(false)
    }

    /// Adds a JSON array of canonical items: the turn that tells their outcome, 0 where the order knows
    /// them all, or minus an error's number.
    "add" fn add(core, input, pool: usize, items: usize) -> f64 {
        let pool = input.text(pool);
        let added = core.replica.add(pool, input.text(items));
        turn_or_error(added.map(|turn| turn.unwrap_or(Turn::ZERO)))
    }

    /// The identity of a canonical item; nothing for what is no item.
    "identify" fn identify(core, input, pool: usize, item: usize) -> i32 {
        let pool = input.text(pool);
        let ident = core.replica.identify(pool, input.text(item)).ok();
        core.give(ident.map(Vec::from))
    }

    /// Takes in the items of a page that another replica of this place has stored.
    "adoptPage" fn adopt_page(core, input, bytes: usize, place: usize) -> bool {
        core.replica.adopt_page(input.bytes(bytes).into(), place).is_ok()
    }

    /// Takes in the items of a frame of its log.
    "adoptFrame" fn adopt_frame(core, input, bytes: usize) -> bool {
        core.replica.adopt_frame(input.bytes(bytes)).is_ok()
    }

    /// Everything that was to be taken in has been.
    "adopted" fn adopted(core, _input) { core.replica.adopted(); }

    /// How many pieces of news of pools it has taken.
    "poolNews" fn pool_news(core, _input) -> f64 { float(core.replica.pool_news()) }

    /// So many of them are on the disk.
    "poolNewsSaved" fn pool_news_saved(core, _input, count: f64) {
        core.replica.pool_news_saved(integer(count));
    }

    /// Additions for the log of which nothing else there tells.
    "unseen" fn unseen(core, _input) -> i32 {
        let unseen = core.replica.take_unseen();
        core.give(unseen)
    }

    /// On what a pool has converged, as `[seq, digest]`; nothing where it has not.
    "convergence" fn convergence(core, input, pool: usize) -> i32 {
        let state = core.replica.pool_state(input.text(pool)).filter(|state| state.converged);
        core.give(state.map(convert::convergence))
    }

    // Reading.

    /// Reads a record of the view as JSON.
    "get" fn get(core, input, collection: usize, key: usize) -> i32 {
        let collection = input.text(collection);
        let found = core.replica.get(collection, input.text(key)).map(Vec::from);
        core.give(found)
    }

    /// Whether the view has a record.
    "has" fn has(core, input, collection: usize, key: usize) -> bool {
        let collection = input.text(collection);
        core.replica.get(collection, input.text(key)).is_some()
    }

    /// How many records of a collection the view has.
    "size" fn size(core, input, collection: usize) -> usize {
        core.replica.size(input.text(collection))
    }

    /// A record's confirmed seq, or -1.
    "metaSeq" fn meta_seq(core, input, collection: usize, key: usize) -> f64 {
        let collection = input.text(collection);
        core.replica.meta(collection, input.text(key)).seq.map_or(-1.0, |seq| float(seq.0))
    }

    /// Whether a mutation that speaks of a record has no outcome.
    "metaPending" fn meta_pending(core, input, collection: usize, key: usize) -> bool {
        let collection = input.text(collection);
        core.replica.meta(collection, input.text(key)).pending
    }

    /// Begins to read a whole collection.
    "dumpBegin" fn dump_begin(core, input, collection: usize) {
        core.dump_of = input.text(collection).into();
        core.dump = core.replica.keys(&core.dump_of);
        core.dumped = 0;
    }

    /// The next piece of it: `[[key, record], …]` in the order of the keys' bytes.
    "dumpNext" fn dump_next(core, _input) -> i32 {
        let piece = core.dump_piece();
        core.give(piece)
    }

    /// Sets how much `changes` tells of a collection: 0 nothing, 1 keys, 2 records.
    "watch" fn watch(core, input, collection: usize, level: u32) {
        let watch = match level {
            0 => Watch::Nothing,
            1 => Watch::Keys,
            _ => Watch::Records,
        };
        core.replica.watch(input.text(collection), watch);
    }

    // Draining.

    /// The next piece of the view's changes: `[collection, origin, [[key, before?, after?], …]]`.
    "changes" fn changes(core, _input) -> i32 {
        let piece = core.changes_piece();
        core.give(piece)
    }

    /// What has happened, as a JSON array of events.
    "events" fn events(core, _input) -> i32 {
        let events = convert::events_to_json(&mut || core.replica.take_events());
        core.give(events)
    }

    /// The next outbox block to store, under its first turn.
    "block" fn block(core, _input) -> i32 {
        let Some((first, last, block)) = core.replica.take_block() else { return -1 };
        core.block = (first, last);
        core.give(Some(block))
    }

    /// The first turn of the last block.
    "blockFirst" fn block_first(core, _input) -> f64 { float(core.block.0.0) }

    /// The last turn of the last block.
    "blockLast" fn block_last(core, _input) -> f64 { float(core.block.1.0) }

    /// What of the frame just taken belongs into the stored state: 0 nothing, 1 the frame, 2 all
    /// pages since the catch-up began or a checkpoint, 3 a checkpoint in place of everything.
    "journal" fn journal(core, _input) -> u32 {
        match core.replica.take_journal() {
            Journal::Nothing => 0,
            Journal::Frame => 1,
            Journal::Pages => 2,
            Journal::Checkpoint => 3,
        }
    }

    /// The next frame to send.
    "frame" fn frame(core, _input) -> i32 {
        let frame = core.replica.take_frame();
        core.give(frame)
    }

    // Storing.

    /// The outbox up to this turn is on the disk.
    "durable" fn durable(core, _input, last: f64) { core.replica.durable(turn(last)); }

    /// What was settled up to this turn is on the disk.
    "saved" fn saved(core, _input, last: f64) { core.replica.saved(turn(last)); }

    /// Info and account are on the disk; pushes wait for it after the event `welcome`.
    "infoSaved" fn info_saved(core, _input) { core.replica.info_saved(); }

    /// What is to be stored of the datastore, if anything is known of it.
    "info" fn info(core, _input) -> i32 {
        let info = core.replica.info();
        core.give(info)
    }

    /// What is to be stored of this replica.
    "account" fn account(core, _input) -> i32 {
        let account = core.replica.account();
        core.give(Some(account))
    }

    /// Pages of a checkpoint.
    "pageCount" fn page_count(core, _input) -> usize { core.replica.page_count() }

    /// A page that has changed since it was last encoded, or -1.
    "dirtyPage" fn dirty_page(core, _input) -> i32 {
        core.replica.dirty_page().and_then(|page| i32::try_from(page).ok()).unwrap_or(-1)
    }

    /// Encodes a page of the checkpoint.
    "page" fn page(core, _input, page: usize) -> i32 {
        let page = core.replica.page(page);
        core.give(Some(page))
    }

    // The connection. Those that give 0 or 1: at 1 the connection is to be closed and another opened.

    /// A connection stands.
    "connected" fn connected(core, _input, now: f64) { core.replica.connected(integer(now)); }

    /// Takes a frame.
    "received" fn received(core, input, frame: usize, now: f64) -> bool {
        core.replica.received(input.bytes(frame), integer(now)).is_err()
    }

    /// The connection is gone.
    "closed" fn closed(core, _input, code: u32) {
        core.replica.closed(u16::try_from(code).unwrap_or(0));
    }

    /// Takes the answer to a ping.
    "pong" fn pong(core, input, text: usize, now: f64) -> bool {
        core.replica.pong(input.text(text), integer(now)).is_err()
    }

    /// The disk can be written no more.
    "forsakeDisk" fn forsake_disk(core, _input) -> bool { core.replica.forsake_disk().is_err() }

    /// Shows the others a state, as JSON; nothing where it is empty.
    "show" fn show(core, input, json: usize) {
        let json = input.text(json);
        core.replica.show(Some(json).filter(|json| !json.is_empty()));
    }

    /// Lets time pass.
    "tick" fn tick(core, _input, now: f64) -> bool { core.replica.tick(integer(now)).is_err() }

    /// When `tick` wants to be called, in milliseconds since 1970, or -1.
    "deadline" fn deadline(core, _input) -> f64 { core.replica.deadline().map_or(-1.0, float) }

    /// How long the relay may take to answer, in milliseconds.
    "patience" fn patience(core, _input) -> f64 { float(core.replica.patience()) }

    /// The primary field under which the outbox was made.
    "restorePrimary" fn restore_primary(core, input, primary: usize) {
        core.replica.restore_primary(input.text(primary));
    }

    /// The app has heard that the datastore is gone, and opens it anew.
    "openAnew" fn open_anew(core, _input) { core.replica.open_anew(); }

    // Siblings.

    /// There may be siblings in other tabs.
    "meetSiblings" fn meet_siblings(core, _input) { core.replica.meet_siblings(); }

    /// The ids of all replicas on the disk: what others have shown is gone.
    "keepSiblings" fn keep_siblings(core, input, ids: usize) {
        core.replica.keep_siblings(input.bytes(ids));
    }

    /// All that a sibling had on the disk is settled, with effects up to `seq` of a life.
    "siblingDone" fn sibling_done(core, input, id: usize, epoch: usize, seq: f64) {
        let (id, epoch) = (replica_id(input.bytes(id)), Epoch::from_hex(input.text(epoch)));
        core.replica.sibling_is_done(id, epoch, Seq(integer(seq)));
    }

    /// Somebody else has its place on the disk.
    "dispossess" fn dispossess(core, _input) -> bool { core.replica.dispossess().is_err() }

    /// The next note for them.
    "note" fn note(core, _input) -> i32 {
        let note = core.replica.take_note();
        core.give(note)
    }

    /// Takes a note of a sibling; one that cannot be read changes nothing.
    "heard" fn heard(core, input, note: usize) {
        let _ = core.replica.hear_note(input.bytes(note));
    }

    // Status.

    /// The newest confirmed seq that it holds.
    "seq" fn seq(core, _input) -> f64 { float(core.replica.seq().0) }

    /// The newest seq that it has heard of.
    "head" fn head(core, _input) -> f64 { float(core.replica.head().0) }

    /// How many of its mutations have no outcome.
    "pending" fn pending(core, _input) -> usize { core.replica.pending() }

    /// Its newest settled turn.
    "settled" fn settled(core, _input) -> f64 { float(core.replica.settled().0) }

    /// 0 offline, 1 greeting, 2 catching up, 3 live, 4 stopped.
    "phase" fn phase(core, _input) -> u32 {
        match core.replica.phase() {
            Phase::Offline => 0,
            Phase::Greeting => 1,
            Phase::CatchingUp => 2,
            Phase::Live => 3,
            Phase::Stopped => 4,
        }
    }

    /// This incarnation of the datastore.
    "epoch" fn epoch(core, _input) -> i32 {
        let epoch = core.replica.epoch().map(|epoch| epoch.to_hex().into());
        core.give(epoch)
    }

    /// Last moment of the datastore's life, in milliseconds since 1970, or -1.
    "expiresAt" fn expires_at(core, _input) -> f64 {
        core.replica.datastore().and_then(|info| info.expires_at).map_or(-1.0, float)
    }

    /// `temp` or `permanent`.
    "kind" fn kind(core, _input) -> i32 { core.give(Some(core.replica.kind().name().into())) }

    /// The primary field.
    "primary" fn primary(core, _input) -> i32 { core.give(Some(core.replica.primary().into())) }

    /// Its id: 16 bytes that are nobody else's business.
    "id" fn id(core, _input) -> i32 { core.give(Some(core.replica.id().0.into())) }

    /// Stands for it in public: 16 hex digits.
    "replicaTag" fn replica_tag(core, _input) -> i32 { core.give(Some(core.replica.tag().into())) }

    /// Digest of the confirmed records, as 32 hex digits.
    "digest" fn digest(core, _input) -> i32 { core.give(Some(core.replica.digest().to_hex().into())) }
}
