// The limit of the relay benches: a Durable Object that inserts each message into SQLite and sends it to everyone.

import { DurableObject } from "cloudflare:workers";
import { records } from "../data.mjs";
import { born, door, toFill } from "./door.js";

export class Datastore extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    born();
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, data BLOB NOT NULL)");
  }

  async fetch(request) {
    const count = toFill(request);
    if (count !== null) return this.fill(count);
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  fill(count) {
    for (const record of records(count)) this.ctx.storage.sql.exec("INSERT INTO log (data) VALUES (?)", JSON.stringify(record));
    return new Response();
  }

  async webSocketMessage(_, message) {
    this.ctx.storage.sql.exec("INSERT INTO log (data) VALUES (?)", message);
    for (const socket of this.ctx.getWebSockets()) socket.send(message);
  }
}

export default door;
