// Sockets of a world, and the relay at their other end: the core's own authority, in a process that is asked line by line.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { at } from "../../../../tools/house.mjs";

/** The relay's process, which many worlds use one after the other. */
export class RelayProcess {
  constructor() {
    const args = ["run", "--quiet", "--release", "-p", "neap-core", "--example", "relay"];
    this.child = spawn("cargo", args, { cwd: at("."), stdio: ["pipe", "pipe", "inherit"] });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /** Gives what is to be sent and closed, and the answer to a ping. */
  async ask(line) {
    this.child.stdin.write(`${line}\n`);
    const answers = [];
    for (;;) {
      const { value, done } = await this.lines.next();
      if (done) throw new Error(`the relay died of ${line.slice(0, 200)}`);
      const [what, ...rest] = value.split(" ");
      if (what === "done") return { answers, pong: rest[0] };
      answers.push([what, ...rest]);
    }
  }

  stop() {
    this.child.stdin.end();
  }
}

/** The road to the relay. */
export class Network {
  /** Whether new connections come through. */
  isUp = true;
  connections = new Map();
  /** Called before a tab hears a frame. */
  arrived = () => {};
  /** Marks that the relay had in lives of the datastore that are over. */
  past = new Set();
  #count = 0;
  #pong = "";

  constructor(world, relay) {
    Object.assign(this, { world, relay });
    this.arrivals = world.lane(this);
  }

  /** The relay decides, and its answers go on their way. */
  async tell(what) {
    const { answers, pong } = await this.relay.ask(`${this.world.now} ${what}`);
    this.world.trace(`${this.world.steps} at ${this.world.now}: relay hears ${what.slice(0, 60)}, says ${answers.map((one) => one.join(" ").slice(0, 30))}`);
    this.#pong = pong;
    for (const [kind, session, ...rest] of answers) {
      if (kind === "had") this.past.add(session);
      if (kind === "again") this.world.after(this, Math.max(1, session - this.world.now), () => this.tell("tick"));
      const connection = this.connections.get(Number(session));
      if (kind === "send") connection?.down({ type: "message", bytes: Buffer.from(rest[0], "hex") });
      if (kind === "close") this.end(connection, Number(rest[0]), rest[1]);
    }
  }

  /** The datastore is gone, and another one is there under its name. */
  async bearAnew() {
    for (const connection of [...this.connections.values()]) this.end(connection, 1006);
    await this.tell("reborn");
  }

  /** The relay's side of a connection is over. */
  end(connection, code, reason = "") {
    if (!connection?.isThere) return;
    connection.isThere = false;
    this.connections.delete(connection.session);
    connection.down({ type: "close", code, reason });
  }

  /** Breaks a connection: what was on its way, either way, is lost from some point on. */
  cut(connection) {
    connection.isCut = true;
    for (const lane of [connection.ups, connection.downs]) lane.waiting.length = this.world.dice(lane.waiting.length + 1);
    this.#leave(connection);
    connection.downs.post(() => connection.closed(1006));
  }

  #leave(connection) {
    connection.ups.post(async () => {
      if (!connection.isThere) return;
      connection.isThere = false;
      this.connections.delete(connection.session);
      await this.tell(`gone ${connection.session}`);
    });
  }

  /** Those of a tab break when it dies. */
  died(tab) {
    for (const connection of this.all) if (connection.tab === tab) this.#leave(connection);
  }

  all = new Set();

  /** What a tab calls `WebSocket`. */
  of(tab) {
    const network = this;
    return class Socket {
      bufferedAmount = 0;
      #listeners = [];

      constructor() {
        const { world } = network;
        const session = (network.#count += 1);
        world.trace(`${world.steps} ${tab.name} opens connection ${session}`);
        const connection = {
          session, tab, isThere: false, isOver: false, isSilent: false, isCut: false, ups: world.lane(network), downs: world.lane(tab),
          closed: (code, reason = "") => {
            if (connection.isOver) return;
            connection.isOver = true;
            network.all.delete(connection);
            this.#fire("close", { code, reason });
          },
          down: ({ type, bytes, text, code, reason }) => {
            connection.downs.post(() => {
              if (connection.isSilent || connection.isOver) return;
              if (type === "close") return connection.closed(code, reason);
              if (bytes) network.arrived(tab, bytes);
              this.#fire(type, { data: text ?? (bytes && new Uint8Array(bytes).buffer) });
            });
          },
        };
        this.connection = connection;
        network.all.add(connection);
        connection.ups.post(async () => {
          if (!network.isUp) return connection.downs.post(() => connection.closed(1006));
          connection.isThere = true;
          network.connections.set(session, connection);
          connection.down({ type: "open" });
          await network.tell(`connect ${session}`);
        });
      }

      #fire(type, event) {
        for (const [of, listener] of this.#listeners) if (of === type) listener(event);
      }

      addEventListener(type, listener) {
        this.#listeners.push([type, listener]);
      }

      send(data) {
        const { connection } = this;
        if (tab.isDead || connection.isOver) return;
        const sent = typeof data === "string" ? data : Buffer.from(data).toString("hex");
        connection.ups.post(async () => {
          if (!connection.isThere || connection.isSilent || connection.isCut) return;
          if (sent === "ping") return connection.down({ type: "message", text: network.#pong });
          await network.tell(`frame ${connection.session} ${sent}`);
        });
      }

      close(code = 1000) {
        if (tab.isDead) return;
        network.#leave(this.connection);
        this.connection.downs.post(() => this.connection.closed(code));
      }
    };
  }
}
