// Changes that others have made: what it costs to take them. A writer makes them once; what it sent, frame by
// frame, is then played to each subject in a process of its own, so that no socket is measured.
//   node remote.mjs record SUBJECT RECORDS CHANGES FILE RELAY    writes the play down
//   node remote.mjs play SUBJECT RECORDS CHANGES PENDING FILE    PENDING own writes wait meanwhile; prints JSON

import { readFileSync, writeFileSync } from "node:fs";
import { deserialize, serialize } from "node:v8";
import { records } from "./data.mjs";
import { changed, takers } from "./takers.mjs";
import { tell, timed } from "./timed.mjs";

const [mode, subject, size, count, ...more] = process.argv.slice(2);
const all = records(Number(size));
if (mode === "record") {
  const [file, relay] = more;
  writeFileSync(file, serialize(await takers[subject].record(all, Number(count), { relay })));
  process.exit(0);
}

const [pendingCount, file] = more;
// Every seventh record from the start changes; these lie between them.
const pending = Array.from({ length: Number(pendingCount) }, (_, n) => ({ ...all[(n * 7 + 3) % all.length], pri: 50 }));
const store = await takers[subject].make(deserialize(readFileSync(file)), pending);
const result = await timed(() => store.take());
const last = changed(all, Number(count) - 1);
const found = (id) => fieldOf(store.get(id));
if (found(last.id) !== last.pri) throw new Error(`${subject}: not all was taken`);
if (pending.length > 0 && found(pending[0].id) !== 50) throw new Error(`${subject}: an own write is gone`);
tell({ operations: Number(count), steps: store.steps, ...result });

function fieldOf(record) {
  return typeof record?.get === "function" ? record.get("pri") : record?.pri;
}
