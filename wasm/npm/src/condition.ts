// Conditions as the core takes them.

import type { Condition } from "./api.js";
import { ALWAYS, IF_ABSENT, IF_PRESENT, IF_SEQ, type ConditionKind } from "./core.js";
import { NeapError } from "./errors.js";

/** Throws `invalid-options` unless it is exactly one of the three conditions, or none. */
export function conditionKind(condition: Condition | undefined): ConditionKind {
  if (condition === undefined) return ALWAYS;
  if (typeof condition === "object" && condition !== null) {
    const given = Object.entries(condition).filter(([, value]) => value !== undefined);
    const [name, value] = given.length === 1 ? (given[0] as [string, unknown]) : [];
    if (name === "ifSeq" && Number.isSafeInteger(value) && (value as number) >= 0) return IF_SEQ;
    if (name === "ifAbsent" && value === true) return IF_ABSENT;
    if (name === "ifPresent" && value === true) return IF_PRESENT;
  }
  throw new NeapError(
    "invalid-options",
    "a condition is { ifSeq: a whole number }, { ifAbsent: true } or { ifPresent: true }",
  );
}

export const conditionSeq = (condition: Condition | undefined): number =>
  (condition as { ifSeq?: number } | undefined)?.ifSeq ?? 0;
