// y-partyserver: a Yjs document in memory, saved into SQLite as its own documentation does it, some time after a change.

import { YServer } from "y-partyserver";
import { applyUpdate, Doc, encodeStateAsUpdate } from "yjs";
import { records } from "../data.mjs";
import { born, door, toFill } from "./door.js";

// A row holds 2 MB at most.
const PIECE = 1_000_000;

export class Datastore extends YServer {
  static options = { hibernate: true };

  constructor(ctx, env) {
    super(ctx, env);
    born();
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS pieces (n INTEGER PRIMARY KEY, data BLOB NOT NULL)");
  }

  async onLoad() {
    const pieces = this.ctx.storage.sql.exec("SELECT data FROM pieces ORDER BY n").toArray();
    if (pieces.length === 0) return;
    const doc = new Doc();
    applyUpdate(doc, new Uint8Array(await new Blob(pieces.map(({ data }) => data)).arrayBuffer()));
    return doc;
  }

  async onSave() {
    const update = encodeStateAsUpdate(this.document);
    this.ctx.storage.sql.exec("DELETE FROM pieces");
    for (let at = 0; at < update.length; at += PIECE) this.ctx.storage.sql.exec("INSERT INTO pieces (data) VALUES (?)", update.slice(at, at + PIECE));
  }

  async onRequest(request) {
    const tasks = this.document.getMap("tasks");
    this.document.transact(() => records(toFill(request)).forEach((record) => tasks.set(record.id, record)));
    await this.onSave();
    return new Response();
  }
}

export default door;
