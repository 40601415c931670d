// An author of the torture test and of worlds: edits keys that all want, and leaves a mark with each edit.

const CONDITIONS = (collection, key) => [
  undefined,
  undefined,
  { ifAbsent: true },
  { ifPresent: true },
  { ifSeq: collection.meta(key).seq ?? 1 },
];

/** Tells what `ds` hears of trouble, and of refused marks of whichever life. */
export function listen(ds, tell) {
  ds.on("refused", ({ ops, code }) => {
    for (const { collection, key } of ops) if (collection === "marks") tell({ mark: key, refused: code });
  });
  ds.on("error", ({ code }) => tell({ error: code }));
}

/** The record of a mark, which may be so many characters heavier than it has to be. */
export const markOf = (id, by, weight) => ({ id, by, ...(weight > 0 && { text: by.at(0).repeat(weight) }) });

/**
 * Gives what makes one edit. Each mutation also sets a mark of its own, so its effect can be recognized: in the same seq,
 * by one record that nobody else writes. `tell` hears of each mark when it is made, durable and settled.
 */
export function editor(ds, dice, name, tell, weight = 0) {
  listen(ds, tell);
  const all = ["red", "green"].map((collection) => ds.collection(collection));
  let n = 0;
  return () => {
    const mark = `m-${name}-${n++}`;
    const collection = all[dice(all.length)];
    const key = `k${dice(4)}`;
    const conditions = CONDITIONS(collection, key);
    const condition = conditions[dice(conditions.length)];
    const kind = ["set", "set", "patch", "delete", "mark"][dice(5)];
    const data = kind === "set" ? { id: key, mark, n } : { [name]: n };
    const from = ds.seq;
    const mutation = ds.transact((tx) => {
      tx.collection("marks").set(markOf(mark, name, weight));
      const contended = tx.collection(collection.name);
      if (kind === "set") contended.set(data, condition);
      else if (kind === "patch") contended.patch(key, data, condition);
      else if (kind === "delete") contended.delete(key, condition);
    });
    const [by] = mutation.id.split("-");
    tell({ mark, made: { by, from, collection: collection.name, key, kind, data, condition }, isSure: kind === "mark" || (kind !== "patch" && !condition) });
    void mutation.durable.then(() => tell({ mark, durable: true }));
    void mutation.settled.then((outcome) => tell({ mark, outcome }));
  };
}

/** Edits until it is stopped. */
export function author(ds, dice, name, tell) {
  const edit = editor(ds, dice, name, tell);
  let timer;
  const round = () => {
    for (let count = 1 + dice(3); count > 0; count--) edit();
    if (dice(25) === 0) ds.goOffline();
    else if (dice(4) === 0) ds.goOnline();
    timer = setTimeout(round, dice(250));
  };
  round();
  return () => (clearTimeout(timer), ds.goOnline());
}
