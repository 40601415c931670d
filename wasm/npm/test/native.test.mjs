// The machines do in wasm what they do natively: a native run is written down, and made again through both builds.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { output } from "../../../tools/house.mjs";
import { startRelay } from "../../../tools/relay.mjs";
import { here, tempDir } from "./house.mjs";

const seeds = process.env.NEAP_LONG === "1" ? 20 : 3;
const keys = ["a", "b", "longer-key", 'q"', "z", "é"];

function transcript(seed) {
  const text = output("cargo", ["run", "--quiet", "-p", "neap-core", "--example", "transcript", "--", String(seed)], { maxBuffer: 1 << 28 });
  assert.ok(text, "the native run failed");
  return JSON.parse(text);
}

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const all = (next) => {
  const found = [];
  for (let one = next(); one !== undefined; one = next()) found.push(one);
  return found;
};

test("a replica gives the same frames, blocks, views and digests in wasm as natively", async (t) => {
  const { makeCore } = await import(join(here, "src", "face.ts"));
  const module = await WebAssembly.compile(readFileSync(join(here, "src", "generated", "neap.wasm")));
  const hash = createHash("sha256");
  let inputs = 0;
  let frames = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const core = makeCore(module, new Uint8Array(16).fill(1), new Uint8Array(16).fill(101), 7, { kind: "permanent" });
    for (const native of transcript(seed).replica) {
      const [name, ...args] = native.do;
      if (name === "received") args[0] = Buffer.from(args[0], "hex");
      const gave = core[name](...args) ?? null;
      all(() => core.changes());
      core.events();
      const blocks = all(() => core.block()).map((block) => (core.durable(core.blockLast()), hex(block)));
      core.journal();
      core.infoSaved();
      core.saved(core.settled());
      const mine = {
        do: native.do, gave, blocks, frames: all(() => core.frame()).map(hex), shown: keys.map((key) => core.get("c", key) ?? null),
        digest: core.digest(), seq: core.seq(), pending: core.pending(), account: hex(core.account()),
      };
      assert.deepEqual(mine, native, `seed ${seed}, input ${inputs}`);
      mine.frames.forEach((frame) => hash.update(frame));
      frames += mine.frames.length;
      inputs += 1;
    }
  }
  t.diagnostic(`${inputs} inputs, ${frames} frames, sha256 ${hash.digest("hex").slice(0, 16)}`);
  assert.ok(inputs > 100 * seeds && frames > 10 * seeds, `${inputs} inputs, ${frames} frames`);
});

test("an authority decides the same in the relay as natively, to the same digest", async (t) => {
  const relay = await startRelay({ data: tempDir(t), vars: { NEAP_RATE_MUTATIONS: "100000" } });
  t.after(() => relay.stop());
  const call = async (path, body) => {
    const answer = await fetch(`${relay.url}/v1/datastores${path}`, body && { method: "POST", body });
    return answer.json();
  };
  for (let seed = 1; seed <= seeds; seed++) {
    const native = transcript(seed).authority;
    const { id } = await call("", '{"kind":"permanent"}');
    for (const { body, outcome } of native.mutations) {
      const { status, seq, code } = await call(`/${id}/mutations`, body);
      assert.equal(status === "accepted" ? seq : code, outcome, body);
    }
    const { seq, digest } = await call(`/${id}`);
    assert.deepEqual({ seq, digest }, { seq: native.seq, digest: native.digest });
    t.diagnostic(`seed ${seed}: ${native.mutations.length} mutations, head ${seq}, digest ${digest}`);
  }
});
