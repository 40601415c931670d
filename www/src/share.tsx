import { useState } from "preact/hooks";
import type { VNode } from "preact";
import { Check, Link } from "./icons";

/** Hands the link on: by the system's own sheet where there is one, else by the clipboard. */
export function Share(): VNode {
  const [copied, setCopied] = useState(false);
  const [byHand, setByHand] = useState(false);
  const share = async (): Promise<void> => {
    const url = location.href;
    try {
      if (navigator.share) await navigator.share({ title: "A shared task board", url });
      else {
        await navigator.clipboard.writeText(url);
        setCopied(true);
      }
    } catch (cause) {
      const dismissed = cause instanceof DOMException && cause.name === "AbortError";
      if (!dismissed) setByHand(true);
    }
  };
  return (
    <div class="share">
      <button type="button" class="quiet" onClick={share} onBlur={() => setCopied(false)}>
        {copied ? <Check /> : <Link />} {copied ? "Link copied" : "Share"}
      </button>
      {byHand && <input class="link" readOnly aria-label="Link to this board" value={location.href} onFocus={(event) => event.currentTarget.select()} />}
    </div>
  );
}
