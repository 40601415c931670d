// The life of a page, as the browser tells it.

import type { Cancel } from "./clock.js";

/** What befalls a page. */
export interface PageListener {
  /** It goes, for good or to be kept aside, and may not come to its next macrotask. */
  leave(): void;
  /** It is frozen, or kept aside for a return. */
  sleep(): void;
  wake(): void;
}

/** Listens to the page's life, where there is a page. */
export function onPage({ leave, sleep, wake }: PageListener): Cancel {
  const { window, document } = globalThis;
  if (!window || !document) return () => {};
  // Where a page is told that it is frozen, that comes after all that an app does when it goes.
  const isToldOfFreezing = "onfreeze" in document;
  const hide = (event: Event) => {
    if ((event as PageTransitionEvent).persisted && !isToldOfFreezing) sleep();
    else leave();
  };
  const all: [EventTarget, string, (event: Event) => void][] = [
    [window, "pagehide", hide],
    [window, "pageshow", wake],
    [document, "freeze", sleep],
    [document, "resume", wake],
  ];
  for (const [target, type, listener] of all) target.addEventListener(type, listener);
  return () => {
    for (const [target, type, listener] of all) target.removeEventListener(type, listener);
  };
}
