// The records of the benches as tldraw's kind of record.

import { createRecordType, StoreSchema } from "@tldraw/store";

/** A schema of one type, without a validator of its own. */
export const schema = () => StoreSchema.create({ task: createRecordType("task", { scope: "document" }) });

/** What the id of this record is there: it carries its type. */
export const idOf = (id) => `task:${id}`;

export const toRecord = (record) => ({ ...record, id: idOf(record.id), typeName: "task" });

/** What a room holds at first: its own beginning would be a drawing. */
export const empty = () => ({ documents: [], tombstones: {}, documentClock: 0, schema: schema().serialize() });
