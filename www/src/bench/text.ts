// Numbers and words as they stand in markup.

const entities: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Text, safe between tags and in attributes. */
export const escape = (text: string): string => text.replace(/[&<>"]/g, (mark) => entities[mark] ?? mark);

/** A title, safe and with a capital. */
export const title = (text: string): string => escape(text.charAt(0).toUpperCase() + text.slice(1));

/** A number with three digits that count. */
export function figure(value: number): string {
  if (value !== 0 && Math.abs(value) < 0.01) return value.toPrecision(1);
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** A ratio in words. */
export const times = (ratio: number): string => (ratio < 1.1 ? `${Math.round((ratio - 1) * 100)} %` : `${ratio < 10 ? ratio.toFixed(1) : Math.round(ratio)} times`);
