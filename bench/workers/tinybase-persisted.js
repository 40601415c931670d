// TinyBase's own Durable Object with its persister in SQLite, a row for each table, row and cell's stamps.

import { createMergeableStore } from "tinybase";
import { createDurableObjectSqlStoragePersister } from "tinybase/persisters/persister-durable-object-sql-storage";
import { WsServerDurableObject } from "tinybase/synchronizers/synchronizer-ws-server-durable-object";
import { records } from "../data.mjs";
import { born, door, toFill } from "./door.js";

export class Datastore extends WsServerDurableObject {
  createPersister() {
    born();
    this.persister = createDurableObjectSqlStoragePersister(createMergeableStore(), this.ctx.storage.sql, { mode: "fragmented" });
    return this.persister;
  }

  async fetch(request) {
    const count = toFill(request);
    if (count === null) return super.fetch(request);
    const store = this.persister.getStore();
    store.transaction(() => records(count).forEach((record) => store.setRow("tasks", record.id, record)));
    await this.persister.save();
    return new Response();
  }
}

export default door;
