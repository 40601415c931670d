import type { ComponentChildren, VNode } from "preact";

/** Line drawings of 20 × 20; always beside words, so they say nothing to a screen reader. */
function icon(drawing: ComponentChildren): () => VNode {
  return () => (
    <svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" focusable="false">
      {drawing}
    </svg>
  );
}

export const Tide = icon(<path d="M1.5 8c1.8 0 2.2-1.6 4.2-1.6S8.2 8 10 8s2.3-1.6 4.3-1.600S16.7 8 18.5 8M1.5 13c1.8 0 2.2-1.6 4.2-1.600S8.2 13 10 13s2.3-1.6 4.3-1.6 2.4 1.6 4.2 1.6" />);
export const Ebb = icon(<path d="M2 10h2.500M8.7 10h2.600M15.5 10H18M5 15l10-10" />);
export const Turning = icon(<path d="M16 7.500A6.5 6.5 0 0 0 4.2 7M4 3.500V7h3.500M4 12.500A6.5 6.5 0 0 0 15.8 13m.2 3.500V13h-3.5" />);
export const Stopped = icon(<path d="M5 5l10 10M15 5L5 15" />);
export const Clock = icon(<path d="M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14M10 6.200V10l2.6 1.8" />);
export const Pencil = icon(<path d="M12.6 4.400l3 3L7 16H4v-3zM11 6l3 3" />);
export const Bin = icon(<path d="M4 6h12M8 6V3.800h4V6M5.5 6l.8 10.200h7.400L14.5 6M8.6 9v4.500M11.4 9v4.5" />);
export const Cross = icon(<path d="M5.5 5.500l9 9M14.5 5.500l-9 9" />);
export const Link = icon(<path d="M8.5 11.500l3-3M7.5 9L5.2 11.300a2.5 2.5 0 0 0 3.5 3.500L11 12.500M9 7.500l2.3-2.300a2.5 2.5 0 0 1 3.5 3.500L12.5 11" />);
export const Check = icon(<path d="M4 10.500l4 4 8-9" />);
export const Back = icon(<path d="M7 4.500L3.5 8 7 11.500M4 8h7.500a4 4 0 0 1 0 8H8" />);
export const Forth = icon(<path d="M13 4.500L16.5 8 13 11.500M16 8H8.500a4 4 0 0 0 0 8H12" />);
