//! How what frames speak of is laid out. Order and numbers are the protocol.

use super::{
    Cursor, Delta, Down, Hello, Introduction, Last, Note, Page, PoolAsk, PoolDown, PoolLast,
    PoolNews, PoolUp, Presence, Push, Role, Settled, Shown, Standing, Up, Welcome,
    layout::{fields, kinds},
};
use crate::{
    datastore::{Counts, Info, Kind, Meta, Options, Totals},
    mutation::{Condition, Op, Outcome, Reason, Refusal},
    pool::{Choice, Pool, Retain, Terms},
    rate::{Bucket, Rate, Rates},
};

kinds!(Up<'a> {
    0 => Hello(hello),
    1 => Push(push),
    2 => Next(cursor),
    3 => Pool(ask),
    4 => Read(bytes),
    5 => Presence(state),
});
fields!(Hello { version, options, epoch, cursor, authors });
fields!(Cursor { after, floor });
fields!(Introduction { id, role, generation, attempt, birth, acked });
kinds!(Role { 0 => Speaker, 1 => Listener });
fields!(Push<'a> { author, acked, first, block });
fields!(PoolUp<'a> { pool, ask });
kinds!(PoolAsk<'a> { 0 => Open { choice, after }, 1 => Next(after), 2 => Ack(seq), 3 => Leave });

kinds!(Down {
    0 => Welcome(welcome),
    1 => Page(page),
    2 => Delta(delta),
    3 => Behind,
    4 => Pool(news),
    5 => Presence(presence),
    6 => Rates(rates),
});
fields!(Welcome { version, info, epoch, head, standings, now, rates, debt });
kinds!(Standing { 0 => New(birth), 1 => Settled(turn), 2 => Forgotten });
fields!(Page { from, cursor, head, last });
fields!(Last { digest, settled });
fields!(Delta { from, to, digest, expires_at, settled });
fields!(Settled { author, turn, outcome });
fields!(PoolDown { pool, news });
kinds!(PoolNews {
    0 => Page { from, to, last },
    1 => Delta { from, to, drained, digest },
    2 => Converged { seq, digest, drained },
    3 => Mismatch,
});
fields!(PoolLast { terms, drained, digest, added });
fields!(Presence { is_whole, shown });
fields!(Shown { who, state });

fields!(Note<'a> { asks, id, was, epoch, at, settled, acked, minted, first, block });

kinds!(Op<'a> {
    0 => Set { collection, key, data, only_if },
    1 => Patch { collection, key, data, only_if },
    2 => Delete { collection, key, only_if },
    3 => Add { pool, ident, data, choice },
});
kinds!(Condition { 0 => None, 1 => Seq(seq), 2 => Absent, 3 => Present, 4 => Mine(turn) });
kinds!(Outcome { 0 => Accepted(seq), 1 => Unchanged, 2 => Refused(refusal), 3 => Added(seq) });
fields!(Refusal { reason, op });
kinds!(Reason {
    0 => NotFound,
    1 => PreconditionFailed,
    2 => TooLarge,
    3 => StorageFull,
    4 => Forbidden,
    5 => OutcomeUnknown,
    6 => OptionsMismatch,
    7 => InvalidData,
});

kinds!(Kind { 0 => Temp, 1 => Permanent });
fields!(Options { kind, primary, ttl, sliding });
fields!(Info { kind, primary, ttl, sliding, expires_at });
fields!(Meta {
    info,
    epoch,
    head,
    horizon,
    totals,
    swept_at,
    ledger_floor,
    added,
    draining,
    counts
});
fields!(Counts { mutations, refusals, wakes });
fields!(Totals { digest, records, bytes, tombstones, pools, items, item_bytes });

kinds!(Retain { 0 => Ttl, 1 => Converged });
fields!(Choice<'a> { primary, retain });
fields!(Terms { primary, retain });
fields!(Pool { terms, head, drained, erased, digest, items, bytes });

fields!(Rates { mutations, bytes });
fields!(Rate { per_second, burst });
fields!(Bucket { mutations, bytes });
