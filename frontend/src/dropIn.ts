/**
 * The script for pages without a framework, built into `leadclicks.js`. The documentation lists its attributes and
 * calls.
 */

import { capture } from "./captureLeadClick.js";
import { optIn, optOut } from "./optOut.js";
import { storage, store } from "./storage.js";

declare global {
  interface Window {
    leadclicks?: {
      /** Remembers the visitor's email in this browser, in localStorage, until it is called with null. */
      setEmail(email: string | null): void;
      /** Sets the endpoint for this page, unless the script's tag has one. */
      setEndpoint(endpoint: string): void;
      optIn(): void;
      optOut(): void;
    };
  }
}

/** A card, or an element with its own function, on which a click does not count. */
const CARD_OR_CONTROL =
  "[data-leadclicks-expert],[role=button],[contenteditable],button,input,label,select,summary,textarea,video";

// A tag manager may include the script a second time; the clicks still count once.
// (An element with this id would be window.leadclicks, too.)
if (!window.leadclicks?.optIn) {
  let endpointSet: string | undefined;

  window.leadclicks = {
    setEmail(email) {
      store("leadclicksEmail", email ?? "");
    },
    setEndpoint(endpoint) {
      endpointSet = endpoint;
    },
    optIn,
    optOut,
  };

  const onClick = (event: MouseEvent) => {
    // From the inside out, also through open shadow roots.
    const path = event.composedPath() as HTMLElement[];
    const card = path.find((node) => node.matches?.(CARD_OR_CONTROL));
    const selection = getSelection();
    // Buttons beyond the middle one open no link. A selection elsewhere does not matter: WebKit keeps it
    // when a link is clicked.
    const isSelecting = String(selection) && selection?.containsNode(path[0] as Node, true);
    if (!card?.dataset.leadclicksExpert || event.button > 1 || isSelecting) return;

    // The newest tag counts: a page that swaps its body brings another one, which does not even run if it is a module.
    const tags = document.querySelectorAll<HTMLElement>("script[src*=leadclicks]");
    const { email, endpoint } = tags[tags.length - 1]?.dataset ?? {};
    capture(
      email || storage.leadclicksEmail,
      card.dataset.leadclicksExpert,
      card.dataset.leadclicksQuery,
      endpoint || endpointSet,
    );
  };
  // In the capture phase, because a handler of the page may stop the event.
  addEventListener("click", onClick, true);
  addEventListener("auxclick", onClick, true);
}
