// From two states of a record to the merge patch between them.

import { isPlainObject, same } from "../record.js";

/** The merge patch that makes `after` of `before`; `undefined` where none can: a patch cannot put `null`. */
export function mergePatch(before: object, after: object): Record<string, unknown> | undefined {
  const patch: [string, unknown][] = [];
  const [from, to] = [before, after] as Record<string, unknown>[] as [Record<string, unknown>, Record<string, unknown>];
  for (const name of Object.keys(from)) if (!Object.hasOwn(to, name) || to[name] === undefined) patch.push([name, null]);
  for (const [name, value] of Object.entries(to)) {
    const was = Object.hasOwn(from, name) ? from[name] : undefined;
    if (value === undefined || same(was, value)) continue;
    const part = isPlainObject(value) ? mergePatch(isPlainObject(was) ? was : {}, value) : value;
    if (part === undefined || part === null) return undefined;
    patch.push([name, part]);
  }
  return Object.fromEntries(patch);
}
