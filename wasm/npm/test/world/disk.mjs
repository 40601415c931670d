// IndexedDB for the tabs of a world, as far as the package uses it: what a disk has done when a tab dies is for the dice
// to say. Beside it the package's other tests run on a browser's own.

const orderOf = (key) => (typeof key === "number" ? 0 : typeof key === "string" ? 1 : 2);

/** The order of keys: numbers, texts, arrays. */
function compare(a, b) {
  const kind = orderOf(a) - orderOf(b);
  if (kind !== 0) return kind;
  if (!Array.isArray(a)) return a < b ? -1 : a > b ? 1 : 0;
  for (let at = 0; at < a.length && at < b.length; at += 1) {
    const found = compare(a[at], b[at]);
    if (found !== 0) return found;
  }
  return a.length - b.length;
}

class Range {
  constructor(lower, upper, isLowerOpen = false, isUpperOpen = false) {
    Object.assign(this, { lower, upper, isLowerOpen, isUpperOpen });
  }

  static bound = (...given) => new Range(...given);
  static lowerBound = (lower) => new Range(lower, undefined);

  holds(key) {
    const above = this.lower === undefined ? 1 : compare(key, this.lower);
    const below = this.upper === undefined ? -1 : compare(key, this.upper);
    return (above > 0 || (above === 0 && !this.isLowerOpen)) && (below < 0 || (below === 0 && !this.isUpperOpen));
  }
}

const within = (query) => (key) => query == null || (query instanceof Range ? query.holds(key) : compare(key, query) === 0);

class Target {
  #listeners = [];

  addEventListener(type, listener) {
    this.#listeners.push([type, listener]);
  }

  fire(type, event = {}) {
    this[`on${type}`]?.({ ...event, target: this });
    for (const [of, listener] of this.#listeners) if (of === type) listener(event);
  }
}

const failure = (name) => new DOMException(`the world says ${name}`, name);

class Transaction extends Target {
  error = null;
  requests = [];
  undo = [];
  undelivered = 0;
  isStarted = false;
  isActive = true;
  isCommitting = false;
  isOver = false;

  constructor(connection, scope, mode, durability) {
    super();
    Object.assign(this, { connection, scope, mode, durability });
    const { world } = connection.disk;
    this.events = connection.events;
    this.work = world.lane(connection.disk);
  }

  objectStore(name) {
    if (!this.scope.includes(name) || this.isOver) throw failure("InvalidStateError");
    return new Store(this, this.connection.database.stores.get(name));
  }

  overlaps(other) {
    const isWriting = this.mode === "readwrite" || other.mode === "readwrite";
    return isWriting && this.scope.some((name) => other.scope.includes(name));
  }

  ask(run) {
    if (!this.isActive || this.isCommitting || this.isOver) throw failure("TransactionInactiveError");
    const request = new Target();
    this.requests.push(() => {
      request.result = run();
      this.undelivered += 1;
      this.deliver(() => {
        this.undelivered -= 1;
        request.fire("success");
      });
    });
    request.fail = () => this.deliver(() => ((request.error = failure("AbortError")), request.fire("error")));
    this.requests.at(-1).request = request;
    this.go();
    return request;
  }

  deliver(event) {
    this.events.post(() => {
      if (!this.isOver) this.activate();
      event();
    });
  }

  activate() {
    this.isActive = true;
    this.connection.disk.active.add(this);
  }

  /** The disk goes on with what it is asked for. */
  go() {
    if (!this.isStarted || this.isOver) return;
    this.work.post(() => {
      if (this.isOver) return;
      const next = this.requests.shift();
      if (next) next();
      else if (this.mayEnd) this.finish();
      if (this.requests.length > 0 || this.mayEnd) this.go();
    });
  }

  get mayEnd() {
    if (this.isOver || this.requests.length > 0) return false;
    return this.isCommitting || (!this.isActive && this.undelivered === 0);
  }

  commit() {
    this.isCommitting = true;
    this.go();
  }

  finish() {
    const { disk, tab } = this.connection;
    if (this.mode === "readwrite" && tab.hasBadDisk) return this.stop(failure("QuotaExceededError"));
    this.isOver = true;
    if (disk.lies && disk.world.once(6)) for (const undo of this.undo.reverse()) undo();
    if (this.mode === "readwrite") disk.keep(this.durability === "strict");
    this.events.post(() => this.fire("complete"));
    this.connection.database.ended(this);
  }

  abort() {
    if (this.isOver || this.isCommitting) throw failure("InvalidStateError");
    this.stop(null);
  }

  stop(error) {
    if (this.isOver) return;
    this.isOver = true;
    this.error = error;
    for (const undo of this.undo.reverse()) undo();
    for (const { request } of this.requests.splice(0)) request.fail();
    this.events.post(() => this.fire("abort"));
    this.connection.database.ended(this);
  }
}

class Store {
  constructor(transaction, rows) {
    this.ask = (run) => transaction.ask(run);
    this.change = (run) =>
      transaction.ask(() => {
        const before = rows.all;
        transaction.undo.push(() => (rows.all = before));
        rows.all = run(before);
      });
    this.rows = rows;
  }

  #found(query) {
    const isWithin = within(query);
    return this.rows.all.filter(([key]) => isWithin(key));
  }

  get(key) {
    return this.ask(() => structuredClone(this.#found(key)[0]?.[1]));
  }

  getAll(query) {
    return this.ask(() => this.#found(query).map(([, value]) => structuredClone(value)));
  }

  getAllKeys(query) {
    return this.ask(() => this.#found(query).map(([key]) => key));
  }

  count(query) {
    return this.ask(() => this.#found(query).length);
  }

  openKeyCursor(query, direction) {
    if (direction !== "prev") throw failure("NotSupportedError");
    return this.ask(() => this.#found(query).map(([key]) => ({ key })).at(-1) ?? null);
  }

  put(value, key) {
    const kept = structuredClone(value);
    return this.change((all) => {
      const place = all.findIndex(([other]) => compare(other, key) >= 0);
      const at = place < 0 ? all.length : place;
      const isThere = place >= 0 && compare(all[at][0], key) === 0;
      return all.toSpliced(at, isThere ? 1 : 0, [key, kept]);
    });
  }

  delete(query) {
    const isWithin = within(query);
    return this.change((all) => all.filter(([key]) => !isWithin(key)));
  }

  clear() {
    return this.change(() => []);
  }
}

class Connection extends Target {
  isClosed = false;

  constructor(disk, database, tab, events) {
    super();
    Object.assign(this, { disk, database, tab, events });
    database.connections.add(this);
  }

  transaction(scope, mode = "readonly", { durability = "relaxed" } = {}) {
    if (this.isClosed || this.tab.isDead) throw failure("InvalidStateError");
    const made = new Transaction(this, [scope].flat(), mode, durability);
    made.activate();
    this.database.began(made);
    return made;
  }

  createObjectStore(name) {
    this.database.stores.set(name, { all: [] });
  }

  /** What is under way comes to its end. */
  close() {
    if (this.isClosed) return;
    this.isClosed = true;
    this.database.closed(this);
  }
}

class Database {
  stores = new Map();
  connections = new Set();
  live = [];

  began(transaction) {
    this.live.push(transaction);
    this.start();
  }

  ended(transaction) {
    this.live.splice(this.live.indexOf(transaction), 1);
    this.closed(transaction.connection);
    this.start();
  }

  start() {
    this.live.forEach((one, at) => {
      if (one.isStarted || this.live.slice(0, at).some((other) => one.overlaps(other))) return;
      one.isStarted = true;
      one.go();
    });
  }

  closed(connection) {
    if (!connection.isClosed || this.live.some((one) => one.connection === connection)) return;
    this.connections.delete(connection);
  }
}

/** The disk of one browser. */
export class Disk {
  databases = new Map();
  active = new Set();
  /** Says now and then that something is stored which is not: so that a world is seen to notice it. */
  lies = false;
  writes = 0;
  /** What is there after each write since one that has reached the disk for certain. */
  #kept = [];

  constructor(world) {
    this.world = world;
    world.afterwards(() => {
      for (const one of this.active) {
        one.isActive = false;
        if (one.mayEnd) one.go();
      }
      this.active.clear();
    });
  }

  /** Whether a store holds nothing. */
  isEmpty(name) {
    return [...this.databases.values()].every(({ stores }) => stores.get(name).all.length === 0);
  }

  keep(isStrict) {
    this.writes += 1;
    const rows = [...this.databases.values()].flatMap(({ stores }) => [...stores.values()].map((store) => [store, store.all]));
    if (isStrict) this.#kept = [];
    this.#kept.push(rows);
  }

  /** The power fails: of what was written since the last strict write, some is lost. Nobody has it open any more. */
  lose() {
    for (const { live } of this.databases.values()) for (const one of [...live]) one.stop(null);
    if (this.#kept.length === 0) return 0;
    const at = this.world.dice(this.#kept.length);
    for (const [store, all] of this.#kept[at]) store.all = all;
    const lost = this.#kept.length - 1 - at;
    this.#kept.length = at + 1;
    return lost;
  }

  /** A tab dies. What was told to commit may still be done, but nothing that comes after what is not. */
  died(tab) {
    let goesOn = true;
    for (const database of this.databases.values()) {
      for (const one of [...database.live].filter(({ connection }) => connection.tab === tab)) {
        if (one.isCommitting) goesOn &&= this.world.once(2);
        if (!one.isCommitting || !goesOn) one.stop(null);
      }
      for (const connection of [...database.connections].filter((one) => one.tab === tab)) connection.close();
    }
  }

  /** What a tab calls `indexedDB`. */
  of(tab) {
    const { world } = this;
    // All that it hears of its disk comes in order.
    const lane = world.lane(tab);
    const work = world.lane(this);
    const answer = (request, type, event) => lane.post(() => request.fire(type, event));
    const open = (name) => {
      const request = new Target();
      work.post(() => {
        if (tab.isDead) return;
        if (tab.hasBadDisk) {
          request.error = failure("UnknownError");
          return answer(request, "error");
        }
        const isNew = !this.databases.has(name);
        if (isNew) this.databases.set(name, new Database());
        const database = this.databases.get(name);
        request.result = new Connection(this, database, tab, lane);
        // Who makes it is alone with it, and is done in one step.
        if (isNew) request.fire("upgradeneeded", { oldVersion: 0 });
        answer(request, "success");
      });
      return request;
    };
    return { open };
  }
}

export { Range };
