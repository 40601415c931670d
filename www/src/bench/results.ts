// What `npm run bench -- --json bench/results.json` writes, as far as the page reads it.

/** The runs of one subject, in one figure. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** A figure: its unit, and whether more of it is better. */
export interface Measure {
  readonly key: string;
  readonly label: string;
  readonly unit: string;
  readonly more?: boolean;
}

export interface Row {
  readonly subject: string;
  readonly says: string;
  readonly operations: number;
  readonly figures: Readonly<Record<string, Spread>>;
}

export interface Bench {
  readonly name: string;
  readonly title: string;
  readonly date: string;
  readonly records: number;
  readonly rounds: number;
  readonly load: readonly number[];
  readonly measures: readonly Measure[];
  readonly rows: readonly Row[];
  readonly leftOut: readonly { readonly subject: string; readonly why: string }[];
}

export interface Results {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly versions: Readonly<Record<string, string>>;
  readonly benches: readonly Bench[];
}

/** The figure that a bench is about. */
export function mainMeasure({ measures }: Bench): Measure {
  const [first] = measures;
  if (first === undefined) throw new Error("a bench measures something");
  return first;
}

/** A row's median of the figure that its bench is about. */
export function medianOf(row: Row, { key }: Measure): number {
  return spreadOf(row, key).median;
}

export function spreadOf({ subject, figures }: Row, key: string): Spread {
  const found = figures[key];
  if (found === undefined) throw new Error(`${subject} has no ${key}`);
  return found;
}
