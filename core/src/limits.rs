//! Every number that bounds something. Sizes are bytes of UTF-8 unless a name says otherwise.

/// Longest name of a collection, a pool or a datastore.
pub const NAME_BYTES_MAX: usize = 64;
/// Longest key of a record.
pub const KEY_BYTES_MAX: usize = 512;
/// Largest record, as stored.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// Deepest nesting of arrays and objects in a record, the record itself being the first level.
pub const DEPTH_MAX: usize = 32;
/// Most ops in one mutation.
pub const OPS_MAX: usize = 10_000;
/// Largest mutation as encoded, and largest sum of the records that it changes.
pub const MUTATION_BYTES_MAX: usize = 900 * 1024;
/// Largest frame that either side takes.
pub const FRAME_BYTES_MAX: usize = 1024 * 1024;
/// A page of catch-up, or a delta, is closed when its rows have reached this size.
pub const PAGE_BYTES: usize = 256 * 1024;
/// A page of catch-up is closed when it holds this many rows.
pub const PAGE_ROWS: usize = 4_096;
/// The first page of a session is closed at this size, and every push: over a slow road it still comes before it looks like
/// silence.
pub const STRIDE_BYTES: usize = 32 * 1024;
/// Over a slow road a page is no larger than this, nor is a push over one that is not known, or while pages come.
pub const STRIDE_BYTES_MIN: usize = 8 * 1024;
/// What has travelled in less time than this may be twice as much next …
pub const QUICK_MS: u64 = 2_000;
/// … and what took longer than this, half.
pub const SLOW_MS: u64 = 5_000;
/// Bytes of a replica's pushes that may be on their way over a quick road.
pub const FLYING_BYTES: u64 = 1024 * 1024;
/// Pages of catch-up that may be on their way to one session …
pub const UNTURNED_MAX: usize = 4;
/// … and bytes: another is sent before it asks only while fewer than these are unread. With that one they may be more than
/// [`UNREAD_MAX`], and who then hears of news is told Behind, and asks once more.
pub const AHEAD_BYTES: usize = 1024 * 1024;
/// Most turns of one replica that are pushed and not yet acknowledged by it. It bounds the
/// outcomes that the ledger keeps for a replica.
pub const UNACKED_MAX: u64 = 4_096;
/// Most accounts of the ledger that an authority keeps in memory between two commits.
pub const LEDGER_CACHE_MAX: usize = 256;
/// How long the ledger of a permanent datastore remembers a replica after its last connection.
pub const LEDGER_MS: u64 = 400 * 24 * 60 * 60 * 1_000;
/// How often the ledger of a permanent datastore is gone through for replicas to forget, and how exactly it
/// keeps when a replica last connected.
pub const SWEEP_MS: u64 = 30 * 24 * 60 * 60 * 1_000;
/// Most tombstones that one pass of upkeep removes.
pub const PRUNE_MAX: u64 = 1_000;
/// Most replicas that one session may speak for or listen for.
pub const AUTHORS_MAX: usize = 64;
/// Most pending mutations of siblings that a replica shows.
pub const SIBLING_MUTATIONS_MAX: usize = 10_000;
/// Most pools of one datastore.
pub const POOLS_MAX: u64 = 1_000;
/// Most pools that one session may have open.
pub const MEMBERSHIPS_MAX: usize = 64;
/// Most pools that an authority keeps in memory between two commits.
pub const POOL_CACHE_MAX: usize = 64;
/// A member that has not acknowledged what it was sent after this time does not count.
pub const SILENCE_MS: u64 = 60_000;
/// Bytes of frames that a session may have been sent without having said that it read them: beyond, it
/// hears nothing more until it asks.
pub const UNREAD_MAX: u64 = 1024 * 1024;
/// A replica says so when it has read this many bytes more.
pub const READ_STEP_BYTES: u64 = 256 * 1024;
/// Largest state that a session shows the others, as JSON.
pub const PRESENCE_BYTES_MAX: usize = 4 * 1024;
/// The shortest time between two tellings of presence, by a replica and by an authority.
pub const PRESENCE_MS: u64 = 50;
/// Bytes of frames, at most, that one commit makes for those who each hear something else of presence: of news,
/// and of all that there is for who has become live.
pub const PRESENCE_TELLING_BYTES: usize = 4 * 1024 * 1024;
/// Most items that one pass of upkeep erases.
pub const ERASE_MAX: u64 = 1_000;
/// An export takes an account of the ledger for settled when it was not touched for this time: only then
/// is every later change of it sure to stand behind it.
pub const EXPORT_SETTLED_MS: u64 = 1_000;
/// An import of which nothing came for this time is given up.
pub const IMPORT_IDLE_MS: u64 = 10_000;
/// An import may bring so much more than records and items may have in bytes of what is gone, of accounts and of answers.
pub const IMPORT_REST_BYTES: u64 = 64 * 1024 * 1024;
/// Largest seq and turn: the integers that a JavaScript number holds exactly (ECMA-262, 21.1.2.6).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;
/// A push that has not been settled after this time is sent again.
pub const RESEND_MS: u64 = 10_000;
/// After silence an answer may take twice as long, as often as this: what the largest mutation needs at 3 kB/s.
pub const PATIENCE_DOUBLINGS_MAX: u32 = 5;
/// A replica that is held back pushes so often.
pub const PUSHES_PER_SECOND: u64 = 20;
/// A session may overdraw its rates by what comes back in this time: frames that a network has held up
/// come in lumps.
pub const RATE_SLACK_MS: u64 = 10_000;
/// Frames a second in which a session may say what is no mutation …
pub const FRAMES_PER_SECOND: u64 = 4_000;
/// … and so many at once. An honest replica says a few for each page, and 20 a second besides.
pub const FRAMES_BURST: u64 = 8_000;
/// Bytes a second that a session may ask for when it was given them before …
pub const AGAIN_PER_SECOND: u64 = 4 << 20;
/// … and so many at once, besides twice what the datastore holds. An honest replica begins anew when the history
/// no longer reaches back to it, or what it holds does not add up.
pub const AGAIN_BURST: u64 = 64 << 20;
/// A session that has not said Hello after this time is closed when anything happens.
pub const GREETING_MS: u64 = 30_000;
/// Most bytes of mutations that are stored, or told to siblings, as one block, unless one is larger.
pub const BLOCK_BYTES: usize = 256 * 1024;
/// Turns in a row of a stored outbox that may be torn or missing: more than one block holds.
pub const GAP_TURNS_MAX: u64 = 65_536;
/// Records in one page of a checkpoint.
pub const SNAPSHOT_PAGE_RECORDS: usize = 1_024;
/// Life of a temporary datastore whose creator named none, in seconds.
pub const TTL_DEFAULT_S: u32 = 3_600;
/// Default longest life of a temporary datastore, in seconds.
pub const TTL_MAX_S: u32 = 2_592_000;

// The relay's own.

/// Largest body of a request over HTTP.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Largest message, or body that is too large, that a server reads to its end, to be able to say so.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Rows of a page over HTTP, unless the request asks for another number.
pub const LIST_ROWS_DEFAULT: usize = 1_000;
/// Most rows of a page over HTTP.
pub const LIST_ROWS_MAX: usize = 10_000;
/// A page over HTTP is closed when its rows have reached this size.
pub const LIST_BYTES: usize = 2 * 1024 * 1024;
/// Longest line of an import.
pub const ARCHIVE_LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest `Idempotency-Key`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// How long an answer is kept for a repeat of its `Idempotency-Key`.
pub const IDEMPOTENCY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Largest answer that is kept for it, with what tells which request it is for.
pub const ANSWER_BYTES_MAX: usize = 1024;
/// Longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// A socket whose token has run out is ended by an alarm this much later, at the latest.
pub const TOKEN_SLACK_MS: u64 = 1_000;
/// An alarm whose work failed comes again after this time.
pub const ALARM_RETRY_MS: u64 = 60_000;
/// Sockets and datastores that one client may open in a second, unless an operator sets another number …
pub const OPENINGS_PER_SECOND: u64 = 100;
/// … and so many at once: a crowd behind one address comes back together.
pub const OPENINGS_BURST: u64 = 20_000;
/// Most clients whose speed over HTTP one datastore keeps in mind.
pub const RATE_PAYERS_MAX: usize = 4_096;
/// Most sockets of one datastore, unless an operator sets another number.
pub const SOCKETS_MAX: usize = 5_000;
/// A group commit is run at once when as many frames or requests wait for it as there are sockets, but no fewer than
/// this, …
pub const GROUP_MIN: usize = 16;
/// … and no more than this.
pub const GROUP_MAX: usize = 64;
/// A group commit is run at once when frames and bodies of this size wait for it.
pub const GROUP_BYTES_MAX: usize = 256 * 1024;
/// The pause between two group commits: so long for each socket …
pub const PACE_PER_SOCKET_US: usize = 100;
/// … and no longer than this.
pub const PACE_MAX_US: usize = 25_000;
/// An isolate writes at most this many lines of log …
pub const LOG_LINES_MAX: u32 = 100;
/// … in this time; what is beyond is counted in the next line.
pub const LOG_WINDOW_MS: u64 = 10_000;
/// Bytes that a slow socket may have waiting before it is left behind.
pub const BACKLOG_BYTES_MAX: usize = 1024 * 1024;
/// Bytes sent to a socket after which its backlog is looked at.
pub const BACKLOG_STEP_BYTES: usize = 256 * 1024;
