// tldraw's TLSocketRoom over its own SQLite storage, with its own support for hibernation.

import { DurableObject } from "cloudflare:workers";
import { DurableObjectSqliteSyncWrapper, SQLiteSyncStorage, TLSocketRoom } from "@tldraw/sync-core";
import { records } from "../data.mjs";
import { empty, schema, toRecord } from "../tldraw.mjs";
import { born, door, toFill } from "./door.js";

export class Datastore extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    born();
    const sql = new DurableObjectSqliteSyncWrapper(ctx.storage);
    const storage = new SQLiteSyncStorage({ sql, ...(!SQLiteSyncStorage.hasBeenInitialized(sql) && { snapshot: empty() }) });
    // A timer for clients that are gone would keep the object awake.
    const onSessionSnapshot = (id, snapshot) => this.keep(id, snapshot);
    this.room = new TLSocketRoom({ schema: schema(), storage, clientTimeout: Infinity, onSessionSnapshot });
    for (const socket of ctx.getWebSockets()) {
      const { sessionId, snapshot } = socket.deserializeAttachment();
      if (snapshot) this.room.handleSocketResume({ sessionId, socket, snapshot });
    }
  }

  keep(sessionId, snapshot) {
    const socket = this.ctx.getWebSockets(sessionId)[0];
    socket?.serializeAttachment({ sessionId, snapshot });
  }

  async fetch(request) {
    const count = toFill(request);
    if (count !== null) return this.fill(count);
    const [client, server] = Object.values(new WebSocketPair());
    const sessionId = crypto.randomUUID();
    this.ctx.acceptWebSocket(server, [sessionId]);
    server.serializeAttachment({ sessionId });
    // Messages come to the class, so the room must not listen itself.
    const socket = { send: (text) => server.send(text), close: (...why) => server.close(...why), get readyState() { return server.readyState; } };
    this.room.handleSocketConnect({ sessionId, socket });
    return new Response(null, { status: 101, webSocket: client });
  }

  fill(count) {
    this.room.storage.transaction((txn) => records(count).map(toRecord).forEach((record) => txn.set(record.id, record)));
    return new Response();
  }

  webSocketMessage(socket, message) {
    this.room.handleSocketMessage(socket.deserializeAttachment().sessionId, message);
  }

  webSocketClose(socket) {
    this.room.handleSocketClose(socket.deserializeAttachment().sessionId);
  }
}

export default door;
