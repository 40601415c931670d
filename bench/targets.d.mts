// What of `targets.mjs` the page of www reads.

interface Measured {
  readonly name: string;
  readonly measures: readonly { readonly key: string; readonly label: string; readonly unit: string; readonly more?: boolean }[];
  readonly rows: readonly { readonly subject: string; readonly says: string; readonly figures: Readonly<Record<string, { readonly median: number }>> }[];
}

/** How Neap stands among the peers of a bench: the best of them, and by how much it is ahead of Neap or behind. */
export interface Standing {
  readonly best: string;
  /** Above 1 when Neap is the better one. */
  readonly ratio: number;
}

/** What came of one target. */
export interface Verdict {
  readonly label: string;
  readonly unit: string;
  readonly says: string;
  readonly value: number;
  readonly bound: number;
  /** Undefined while what it stands on has not been measured. */
  readonly met: boolean | undefined;
  /** How far the value lies from its bound, in words. */
  readonly by: string;
}

export const targets: Readonly<Record<string, readonly unknown[]>>;
export function isLimit(row: { readonly says: string }): boolean;
export function standing(bench: Measured): Standing | undefined;
export function verdicts(bench: Measured, benches: readonly Measured[]): readonly Verdict[];
