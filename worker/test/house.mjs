// What the tests of the relay share: a relay of one's own on real workerd, requests, a raw socket.

import assert from "node:assert/strict";
import { createHmac, randomBytes } from "node:crypto";
import { copyFileSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { at, bin, environment, run, wasmBindgen, workerBuild } from "../../tools/house.mjs";
import { startRelay } from "../../tools/relay.mjs";
import { decode, hello, next, push, read } from "./wire.mjs";

export const long = process.env.NEAP_LONG === "1";

/** The server without Cloudflare stands in workerd's place: what is workerd's own is not tested there. */
export const native = process.env.NEAP_RELAY === "native";

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** Repeats until `fn` gives something, and fails after a while. */
export async function until(what, fn, ms = 10_000) {
  const deadline = Date.now() + ms;
  for (;;) {
    const value = await fn();
    if (value) return value;
    assert(Date.now() < deadline, `still waiting: ${what}`);
    await sleep(5);
  }
}

/** A relay that is stopped with the test, with requests to it. */
export async function relay(t, { vars, build } = {}) {
  const data = mkdtempSync(join(tmpdir(), "neap-relay-"));
  const lines = [];
  const options = { data, vars, build, assets: join(data, "none"), hear: (line) => lines.push(line) };
  let running = await startRelay(options);
  t.after(async () => {
    await running.stop();
    rmSync(data, { recursive: true, force: true });
  });
  const url = () => running.url;
  return {
    data,
    url,
    pid: () => running.pid,
    /** What the relay has logged. */
    lines: () => lines,
    call: (method, path, body, headers) => call(url(), method, path, body, headers),
    socket: (id, options) => Raw.open(url(), id, options),
    /** Ends the process as a power cut would, and starts it again on the same data, if wanted under other settings. */
    async restart(vars = options.vars) {
      const port = Number(new URL(running.url).port);
      options.vars = vars;
      await running.kill();
      running = await startRelay({ ...options, port });
    },
    kill: () => running.kill(),
    /** The datastores that have stored anything, as their databases; an empty one is not among them. */
    databases: () => databases(join(data, ...(native ? ["datastores"] : ["objects", "neap-Datastore"]))),
  };
}

/** Builds the relay with the doors that only these tests use, without optimising it. */
export async function contractBuild() {
  const env = environment({ WASM_BINDGEN_BIN: wasmBindgen(), ESBUILD_BIN: join(bin, "esbuild") });
  const args = ["--dev", "--no-opt", "--out-dir", "../target/relay-contract", ".", "--features", "contract"];
  await run(workerBuild(), args, { cwd: at("worker"), env, stdio: ["ignore", "ignore", "inherit"] });
  const build = at("target", "relay-contract");
  assert(existsSync(join(build, "index.js")));
  return build;
}

async function call(url, method, path, body, headers = {}) {
  const isRaw = body === undefined || typeof body === "string" || body instanceof Uint8Array || body instanceof ReadableStream;
  const answer = await fetch(url + path, { method, body: isRaw ? body : JSON.stringify(body), headers, duplex: "half" });
  const text = await answer.text();
  const type = answer.headers.get("content-type") ?? "";
  return { status: answer.status, headers: answer.headers, type, text, body: /[/+]json/.test(type) ? JSON.parse(text) : null };
}

/** Asserts that a request was refused with this status and code, as a problem document. */
export function assertProblem(answer, status, code) {
  assert.deepEqual([answer.status, answer.body?.code], [status, code], answer.text);
  assert.match(answer.type, /^application\/problem\+json/);
  assert.equal(answer.body.status, status);
}

function databases(dir) {
  const names = readdirSync(dir).filter((name) => /^[0-9a-f]+\.sqlite$/.test(name));
  return names.map((name) => tables(join(dir, name))).filter((counts) => Object.keys(counts).length > 0);
}

/** How many rows each table of a database has. */
function tables(file) {
  try {
    return counts(file, { readOnly: true });
  } catch (error) {
    // SQLITE_READONLY: who only reads cannot make the index of its log, and its writer may be in no hurry to.
    if ((error.errcode & 0xff) === 8) return tablesOfCopy(file);
    // SQLITE_CANTOPEN, or SQLITE_IOERR amid opening: the relay has deleted it since its folder was read.
    if ([14, 10].includes(error.errcode & 0xff) && !existsSync(file)) return {};
    throw error;
  }
}

function counts(file, options) {
  const db = new DatabaseSync(file, { timeout: 2_000, ...options });
  try {
    // What is listed is counted at the same moment: tables go while somebody looks.
    db.exec("BEGIN");
    const names = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '_cf_%'").all();
    return Object.fromEntries(names.map(({ name }) => [name, db.prepare(`SELECT count(*) AS n FROM ${name}`).get().n]));
  } finally {
    db.close();
  }
}

/** The same of a copy, which can be written; one that is torn is there, and is looked at again. */
function tablesOfCopy(file) {
  const dir = mkdtempSync(join(tmpdir(), "neap-copy-"));
  try {
    const copy = join(dir, "copy.sqlite");
    for (const end of ["", "-wal"]) if (existsSync(file + end)) copyFileSync(file + end, copy + end);
    return { busy: 0, ...counts(copy, {}) };
  } catch {
    return { busy: 0 };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** A token (RFC 7519) with HS256, or with what is wrong with it. */
export function token(secret, claims, { head = { alg: "HS256", typ: "JWT" }, sign } = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part(head)}.${part(claims)}`;
  return `${signed}.${sign?.(signed) ?? createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

/** A socket that speaks frames and nothing else: no replica, no repeats, no reconnecting. */
export class Raw {
  frames = [];
  texts = [];
  closed = null;
  turn = 0;
  seq = 0;
  unread = 0;

  static open(url, id, { protocols = ["neap.v1"] } = {}) {
    return new Promise((done, fail) => {
      const raw = new Raw();
      const socket = new WebSocket(`${url.replace("http", "ws")}/v1/datastores/${id}/socket`, protocols);
      socket.binaryType = "arraybuffer";
      raw.socket = socket;
      socket.onopen = () => done(raw);
      socket.onerror = () => fail(new Error("the upgrade failed"));
      socket.onmessage = ({ data }) => {
        if (typeof data === "string") return raw.texts.push(data);
        raw.take(decode(data));
        raw.hasRead(data.byteLength);
      };
      socket.onclose = ({ code, reason }) => (raw.closed = { code, reason });
    });
  }

  take(frame) {
    this.frames.push(frame);
    if (frame.kind === "page") this.seq = frame.last ? frame.head : this.seq;
    if (frame.kind === "delta") {
      assert.equal(frame.from, this.seq, "deltas follow each other without gaps");
      this.seq = frame.to;
    }
  }

  // SPEC, SE6: once in 256 KiB.
  hasRead(bytes) {
    this.unread += bytes;
    if (this.unread < 256 * 1024 || this.socket.readyState !== 1) return;
    this.send(read(this.unread));
    this.unread = 0;
  }

  send(frame) {
    this.socket.send(frame);
  }

  /** Says Hello and takes pages until it is at the head. */
  async greet(options = {}) {
    this.id = options.id ?? randomBytes(16);
    const author = { id: this.id, generation: options.generation, birth: options.birth, acked: options.acked };
    this.send(hello({ options: { ttl: 600 }, authors: [author], ...options.hello }));
    await this.live();
    const welcome = this.frames.find(({ kind }) => kind === "welcome");
    this.epoch = welcome.epoch;
    return welcome;
  }

  async live() {
    let seen = this.frames.length;
    for (;;) {
      const page = await this.wait("a page", (frame, at) => at >= seen && frame.kind === "page");
      seen = this.frames.indexOf(page) + 1;
      if (page.last) return;
      this.send(next(page.cursor));
    }
  }

  wait(what, fits, ms) {
    return until(what, () => {
      assert(!this.closed, `closed with ${JSON.stringify(this.closed)}: ${what}`);
      return this.frames.find(fits);
    }, ms);
  }

  /** Pushes mutations and does not wait. */
  push(...mutations) {
    const first = this.turn + 1;
    this.turn += mutations.length;
    this.send(push({ first, mutations, acked: this.acked ?? 0 }));
    return this.turn;
  }

  settled() {
    return this.frames.flatMap((frame) => frame.settled ?? frame.last?.settled ?? []);
  }

  /** Waits for the outcome of a turn. */
  outcome(turn) {
    return until(`the outcome of turn ${turn}`, () => {
      assert(!this.closed, `closed with ${JSON.stringify(this.closed)}`);
      return this.settled().find((settled) => settled.turn === turn);
    });
  }

  whenClosed() {
    return until("the close", () => this.closed);
  }
}

/** A socket over bare TCP, which can stop reading. */
export class Bare {
  frames = [];
  #rest = Buffer.alloc(0);

  static async open(url, id) {
    const bare = new this();
    const { hostname, port } = new URL(url);
    bare.tcp = connect(Number(port), hostname);
    bare.tcp.on("error", () => {});
    bare.tcp.write(
      `GET /v1/datastores/${id}/socket HTTP/1.1\r\nHost: ${hostname}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n` +
        `Sec-WebSocket-Protocol: neap.v1\r\n\r\n`,
    );
    const answer = await new Promise((done) => bare.tcp.once("data", done));
    assert.match(answer.toString("latin1"), /^HTTP\/1\.1 101 /);
    bare.tcp.on("data", (bytes) => bare.#take(bytes));
    return bare;
  }

  // RFC 6455, section 5.2: the relay neither masks nor splits.
  #take(bytes) {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (;;) {
      const rest = this.#rest;
      if (rest.length < 2) return;
      const short = rest[1] & 0x7f;
      const head = short === 127 ? 10 : short === 126 ? 4 : 2;
      if (rest.length < head) return;
      const length = short === 127 ? Number(rest.readBigUInt64BE(2)) : short === 126 ? rest.readUInt16BE(2) : short;
      if (rest.length < head + length) return;
      this.#rest = rest.subarray(head + length);
      if ((rest[0] & 0x0f) === 2) this.take(rest.subarray(head, head + length));
    }
  }

  take(payload) {
    this.frames.push(decode(payload));
  }

  send(frame) {
    const head = frame.length < 126 ? Buffer.from([0x82, 0x80 | frame.length]) : Buffer.from([0x82, 0xfe, frame.length >> 8, frame.length & 255]);
    // A mask of zeros is a mask.
    this.tcp.write(Buffer.concat([head, Buffer.alloc(4), frame]));
  }
}

export const set = (collection, key, rest = {}) => ({ op: "set", collection, key, data: { id: key, ...rest } });
