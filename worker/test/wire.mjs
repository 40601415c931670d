// The frames of neap.v1, written down a second time and by hand from SPEC's words: postcard, so numbers are
// varints and texts have their length before them. Whoever changes the protocol by accident fails here.

const utf8 = new TextEncoder();
const text = new TextDecoder("utf-8", { fatal: true });

class Writer {
  bytes = [];
  byte(value) {
    this.bytes.push(value);
    return this;
  }
  int(value) {
    let rest = BigInt(value);
    while (rest > 0x7fn) {
      this.bytes.push(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    return this.byte(Number(rest));
  }
  raw(bytes) {
    for (const byte of bytes) this.bytes.push(byte);
    return this;
  }
  blob(bytes) {
    return this.int(bytes.length).raw(bytes);
  }
  str(value) {
    return this.blob(utf8.encode(value));
  }
  option(value, write) {
    if (value === undefined || value === null) return this.byte(0);
    write(this.byte(1), value);
    return this;
  }
  list(values, write) {
    this.int(values.length);
    for (const value of values) write(this, value);
    return this;
  }
  end() {
    return Uint8Array.from(this.bytes);
  }
}

class Reader {
  at = 0;
  constructor(bytes) {
    this.bytes = bytes;
  }
  byte() {
    if (this.at >= this.bytes.length) throw new Error("the frame is torn");
    return this.bytes[this.at++];
  }
  int() {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.byte();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return Number(value);
    }
  }
  raw(length) {
    if (this.at + length > this.bytes.length) throw new Error("the frame is torn");
    return this.bytes.subarray(this.at, (this.at += length));
  }
  str() {
    return text.decode(this.raw(this.int()));
  }
  hex(length) {
    return Buffer.from(this.raw(length)).toString("hex");
  }
  option(read) {
    return this.byte() === 1 ? read() : null;
  }
  list(read) {
    return Array.from({ length: this.int() }, read);
  }
}

const cursor = (w, { after, floor }) => w.int(after).int(floor);

/** Hello. `authors` are `{ id, role?, generation?, attempt?, birth?, acked? }`; an id is 16 bytes. */
export function hello({ version = 1, options = {}, epoch, from = { after: 0, floor: 0 }, authors }) {
  const w = new Writer().int(0).int(version);
  w.option(options.kind, (w, kind) => w.int(kind === "permanent" ? 1 : 0));
  w.option(options.primary, (w, primary) => w.str(primary));
  w.option(options.ttl, (w, ttl) => w.int(ttl));
  w.option(options.sliding, (w, sliding) => w.byte(sliding ? 1 : 0));
  w.option(epoch, (w, epoch) => w.raw(Buffer.from(epoch, "hex")));
  cursor(w, from);
  w.list(authors, (w, author) => {
    w.raw(author.id).int(author.role === "listener" ? 1 : 0).int(author.generation ?? 1).int(author.attempt ?? 0);
    w.option(author.birth, (w, birth) => w.int(birth)).int(author.acked ?? 0);
  });
  return w.end();
}

/** Push. Each mutation is a list of `{ op, collection, key, data?, if? }`. */
export function push({ author = 0, acked = 0, first, mutations }) {
  const block = new Writer();
  for (const ops of mutations) block.blob(encodeOps(ops));
  return new Writer().int(1).byte(author).int(acked).int(first).blob(block.end()).end();
}

/** Asks for the next page. */
export const next = (from) => cursor(new Writer().int(2), from).end();

/** Has read so many bytes of frames more. */
export const read = (bytes) => new Writer().int(4).int(bytes).end();

/** Shows the others a state; `undefined`: nothing any more. A text is sent as it is. */
export const presence = (state) =>
  new Writer().int(5).option(state, (w, state) => w.str(typeof state === "string" ? state : JSON.stringify(state))).end();

function encodeOps(ops) {
  return new Writer()
    .list(ops, (w, op) => {
      w.int(["set", "patch", "delete"].indexOf(op.op)).str(op.collection).str(op.key);
      if (op.op !== "delete") w.str(JSON.stringify(op.data));
      condition(w, op.if);
    })
    .end();
}

function condition(w, condition) {
  if (!condition) return w.int(0);
  if (condition.seq !== undefined) return w.int(1).int(condition.seq);
  if (condition.absent) return w.int(2);
  if (condition.present) return w.int(3);
  return w.int(4).int(condition.mine);
}

/** Reads what the relay says. */
export function decode(bytes) {
  const r = new Reader(new Uint8Array(bytes));
  const cursor = () => ({ after: r.int(), floor: r.int() });
  const kind = ["welcome", "page", "delta", "behind", "pool", "presence", "rates"][r.int()];
  switch (kind) {
    case "welcome":
      return {
        kind,
        version: r.int(),
        info: {
          kind: ["temp", "permanent"][r.int()],
          primary: r.str(),
          ttl: r.int(),
          sliding: r.byte() === 1,
          expiresAt: r.option(() => r.int()),
        },
        epoch: r.hex(8),
        head: r.int(),
        standings: r.list(() => {
          const standing = ["new", "settled", "forgotten"][r.int()];
          return { standing, value: standing === "forgotten" ? null : r.int() };
        }),
        now: r.int(),
        rates: rates(r),
        debt: { mutations: r.int(), bytes: r.int() },
      };
    case "page":
      return {
        kind,
        from: cursor(),
        cursor: cursor(),
        head: r.int(),
        last: r.option(() => ({ digest: r.hex(16), settled: settled(r) })),
        rows: changes(r),
      };
    case "delta":
      return {
        kind,
        from: r.int(),
        to: r.int(),
        digest: r.hex(16),
        expiresAt: r.option(() => r.option(() => r.int())),
        settled: settled(r),
        rows: changes(r),
      };
    case "behind":
      return { kind };
    case "rates":
      return { kind, rates: rates(r) };
    case "pool":
      return { kind, pool: r.str() };
    case "presence":
      return {
        kind,
        isWhole: r.byte() === 1,
        shown: r.list(() => [r.int(), r.option(() => JSON.parse(r.str()))]),
      };
    default:
      throw new Error("no such frame");
  }
}

const reasons = ["not-found", "precondition-failed", "too-large", "storage-full", "forbidden", "outcome-unknown"];

/** How fast the receiver may write: each a second, and at once. */
const rates = (r) => ({ mutations: [r.int(), r.int()], bytes: [r.int(), r.int()] });

const settled = (r) =>
  r.list(() => {
    const [author, turn, outcome] = [r.byte(), r.int(), r.int()];
    if (outcome === 0) return { author, turn, seq: r.int() };
    if (outcome === 1) return { author, turn, seq: null };
    return { author, turn, refused: reasons[r.int()], op: r.int() };
  });

function changes(r) {
  const names = r.list(() => r.str());
  let seq = 0;
  const rows = r.list(() => {
    const packed = r.int();
    const collection = names[r.int()];
    seq += r.int();
    if (packed === 0) {
      const [at, length, data] = [r.int(), r.int(), r.str()];
      const key = text.decode(utf8.encode(data).subarray(at, at + length));
      return { collection, key, seq, data };
    }
    const key = r.str();
    return packed === 1 ? { collection, key, seq, data: r.str() } : { collection, key, seq, deleted: true };
  });
  if (r.at !== r.bytes.length) throw new Error("the frame has more than it should");
  return rows;
}
