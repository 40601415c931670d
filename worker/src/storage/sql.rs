//! The texts of all statements. They are constant, since the platform keeps prepared ones by their text.
//!
//! `LIMIT ?` alone would have SQLite look at the value while it plans, and so prepare the statement anew for each one
//! (sqlite3ExprIsInteger of its expr.c); in a sum it takes it as it comes.

use js_sys::JsString;

/// The version of the tables.
pub(super) const SCHEMA: f64 = 1.0;

/// Several rows may share a seq, so the key takes part in the primary key; catch-up then reads the
/// table in its own order. The unique index carries the seq, so looking for a key's old row never
/// touches the table but for its data. The partial index costs deletes only.
pub(super) const CREATE: [&str; 9] = [
    "CREATE TABLE IF NOT EXISTS meta (id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL, value BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS records (seq INTEGER NOT NULL, collection TEXT NOT NULL, key TEXT NOT NULL, data TEXT, PRIMARY KEY (seq, collection, key)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX IF NOT EXISTS records_key ON records (collection, key)",
    "CREATE INDEX IF NOT EXISTS records_gone ON records (seq) WHERE data IS NULL",
    "CREATE TABLE IF NOT EXISTS ledger (replica BLOB PRIMARY KEY, at INTEGER NOT NULL, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS answers (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, at INTEGER NOT NULL, value BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS pools (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS items (pool TEXT NOT NULL, seq INTEGER NOT NULL, ident TEXT NOT NULL, hash BLOB NOT NULL, data TEXT, PRIMARY KEY (pool, seq)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX IF NOT EXISTS items_ident ON items (pool, ident)",
];

pub(super) const DROP: [&str; 6] = [
    "DROP TABLE IF EXISTS items",
    "DROP TABLE IF EXISTS pools",
    "DROP TABLE IF EXISTS answers",
    "DROP TABLE IF EXISTS ledger",
    "DROP TABLE IF EXISTS records",
    "DROP TABLE IF EXISTS meta",
];

/// Rows of a range as one: their seqs; the lengths of their texts; collections and keys; data of at most so many bytes.
/// A row's lengths are one number, since to join several costs more than to make one: in it a tombstone's data count as 0,
/// others as one more than they have.
macro_rules! joined {
    ($and:literal) => {
        concat!(
            "SELECT group_concat(seq), group_concat(",
            "((ifnull(octet_length(data) + 1, 0) << 10 | octet_length(key)) << 7) | octet_length(collection)",
            "), ",
            "CAST(group_concat(collection || key, '') AS BLOB), ",
            "CAST(group_concat(data, '') FILTER (WHERE octet_length(data) <= ?6) AS BLOB) ",
            "FROM (SELECT seq, collection, key, data FROM records WHERE (seq, collection, key) > (?1, ?2, ?3) AND (data IS NOT NULL OR seq > ?4)",
            $and,
            " ORDER BY seq, collection, key LIMIT 0 + ?5)",
        )
    };
}

macro_rules! statements {
    ($($name:ident: $text:expr;)*) => {
        /// The texts of the statements as JavaScript strings, made once.
        pub(super) struct Statements { $(pub(super) $name: JsString,)* }
        impl Statements {
            fn new() -> Self {
                Statements { $($name: JsString::from($text),)* }
            }
        }
    };
}

statements! {
    exists: "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta' LIMIT 1";
    meta: "SELECT schema, value FROM meta WHERE id = 1";
    put_meta: "INSERT INTO meta (id, schema, value) VALUES (1, ?, ?) ON CONFLICT (id) DO UPDATE SET schema = excluded.schema, value = excluded.value";
    entries: "SELECT at, replica, value FROM ledger WHERE (at, replica) > (?, ?) ORDER BY at, replica LIMIT 0 + ?";
    entry: "SELECT value FROM ledger WHERE replica = ?";
    put_entry: "INSERT INTO ledger (replica, at, value) VALUES (?, ?, ?) ON CONFLICT (replica) DO UPDATE SET at = excluded.at, value = excluded.value";
    row: "SELECT seq, data FROM records WHERE collection = ? AND key = ?";
    put_row: "INSERT INTO records (seq, collection, key, data) VALUES (?, ?, ?, ?) ON CONFLICT (collection, key) DO UPDATE SET seq = excluded.seq, data = excluded.data";
    rows: joined!("");
    rows_of: joined!(" AND collection = ?7");
    oldest_gone: "SELECT max(seq) FROM (SELECT seq FROM records WHERE data IS NULL ORDER BY seq LIMIT 0 + ?)";
    count_gone: "SELECT count(*) FROM records WHERE data IS NULL AND seq <= ?";
    prune: "DELETE FROM records WHERE data IS NULL AND seq <= ?";
    old_entry: "SELECT 1 FROM ledger WHERE at < ? LIMIT 1";
    forget_entries: "DELETE FROM ledger WHERE at < ?";
    pools: "SELECT name, value FROM pools ORDER BY name";
    pool: "SELECT value FROM pools WHERE name = ?";
    put_pool: "INSERT INTO pools (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    item: "SELECT seq, hash, data FROM items WHERE pool = ? AND ident = ?";
    put_item: "INSERT INTO items (pool, seq, ident, hash, data) VALUES (?, ?, ?, ?, ?) ON CONFLICT (pool, ident) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, data = excluded.data";
    items: "SELECT seq, hash, data, ident FROM items WHERE pool = ? AND seq > ? ORDER BY seq LIMIT 0 + ?";
    last_erased: "SELECT max(seq), count(*) FROM (SELECT seq FROM items WHERE pool = ? AND seq > ? AND seq <= ? AND data IS NOT NULL ORDER BY seq LIMIT 0 + ?)";
    erase_items: "UPDATE items SET data = NULL WHERE pool = ? AND seq > ? AND seq <= ?";
    answers: "SELECT at, name, value FROM answers WHERE (at, name) > (?, ?) ORDER BY at, name LIMIT 0 + ?";
    answer: "SELECT at, value FROM answers WHERE name = ?";
    put_answer: "INSERT INTO answers (name, at, value) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET at = excluded.at, value = excluded.value";
    prune_answers: "DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY id LIMIT 4) AND at < ?";
}

thread_local! {
    pub(super) static STATEMENTS: Statements = Statements::new();
}
