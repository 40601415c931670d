// A newcomer fetches everything, or somebody returns and fetches what has changed: what it costs the client, and the bytes.
//   node catchup.mjs serve SUBJECT RECORDS     holds the records, prints its address
//   node catchup.mjs join SUBJECT RECORDS URL [CHANGES]

import { records } from "./data.mjs";
import { joiners, renewed } from "./joiners.mjs";
import { tell, timed } from "./timed.mjs";

const [mode, name, size, url, changes] = process.argv.slice(2);
const all = records(Number(size));
const subject = joiners[name];
if (mode === "serve") {
  process.on("SIGTERM", () => process.exit(0));
  console.log(await subject.serve(all));
} else {
  let bytes = 0;
  const count = (more) => (bytes += more);
  let joined;
  let result = await timed(async () => (joined = await subject.join(url, count, all.length)));
  if (joined.size() !== all.length) throw new Error(`${name}: ${joined.size()} of ${all.length} records`);
  let json = Buffer.byteLength(JSON.stringify(all));
  if (changes !== undefined) {
    const news = renewed(all, Number(changes));
    await subject.leave(joined);
    await subject.change(url, news);
    json = Buffer.byteLength(JSON.stringify(news));
    bytes = 0;
    const last = news.at(-1);
    const arrived = () => joined.get(last.id)?.ts === last.ts;
    result = await timed(() => subject.back(joined, { url, count, arrived }));
    if (!arrived()) throw new Error(`${name}: not all has arrived`);
  }
  tell({ operations: Number(changes ?? all.length), ...result, bytes, json });
}
