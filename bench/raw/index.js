// The limit of the relay benches: a Durable Object that inserts each message into SQLite and sends it to everyone.

import { DurableObject } from "cloudflare:workers";

export class Datastore extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, data BLOB NOT NULL)");
  }

  async fetch() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  async webSocketMessage(_, message) {
    this.ctx.storage.sql.exec("INSERT INTO log (data) VALUES (?)", message);
    for (const socket of this.ctx.getWebSockets()) socket.send(message);
  }
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/v1/health") return Response.json({ ok: true });
    return env.DATASTORES.get(env.DATASTORES.idFromName(pathname)).fetch(request);
  },
};
