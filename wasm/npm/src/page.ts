// The life of a page, as the browser tells it.

import type { Cancel } from "./clock.js";

/** What befalls a page. */
export interface PageListener {
  /** It goes, and may not come to its next macrotask. */
  leave(): void;
  /** It is frozen, or kept aside for a return. */
  sleep(): void;
  wake(): void;
}

/** Listens to the page's life, where there is a page. */
export function onPage({ leave, sleep, wake }: PageListener): Cancel {
  const { window, document } = globalThis;
  if (!window || !document) return () => {};
  const all: [EventTarget, string, (event: Event) => void][] = [
    [window, "pagehide", (event) => ((event as PageTransitionEvent).persisted ? sleep() : leave())],
    [window, "pageshow", wake],
    [document, "freeze", sleep],
    [document, "resume", wake],
  ];
  for (const [target, type, listener] of all) target.addEventListener(type, listener);
  return () => {
    for (const [target, type, listener] of all) target.removeEventListener(type, listener);
  };
}
