/**
 * The script for pages without a framework, built into `leadclicks.js`. README's "Put it into your page" tells its
 * attributes and calls.
 */

import { captureLeadClick } from "./captureLeadClick.js";
import { optIn, optOut } from "./optOut.js";
import { storage, store } from "./storage.js";

declare global {
  interface Window {
    leadclicks?: {
      /** Remembers the visitor's email in this browser, in localStorage, until it is called with null. */
      setEmail(email: string | null): void;
      optIn(): void;
      optOut(): void;
    };
  }
}

/** A card, or what inside a card has a purpose of its own, so that a click on it does not count. */
const CARD_OR_CONTROL = "button,input,label,[data-leadclicks-expert]";

// A tag manager may include the script a second time; the clicks still count once.
// (An element with this id would be window.leadclicks, too.)
if (!window.leadclicks?.optIn) {
  const settings = document.currentScript?.dataset ?? {};

  window.leadclicks = {
    setEmail(email) {
      store("leadclicksEmail", email ?? "");
    },
    optIn,
    optOut,
  };

  const onClick = ({ button, target }: MouseEvent) => {
    const card = (target as Element).closest?.<HTMLElement>(CARD_OR_CONTROL)?.dataset;
    // Buttons beyond the middle one open no link.
    if (!card?.leadclicksExpert || button > 1) return;
    captureLeadClick(
      {
        email: settings.email || storage.leadclicksEmail,
        expert_username: card.leadclicksExpert,
        search_query: card.leadclicksQuery,
      },
      settings,
    );
  };
  // While capturing, so that a page's handler that stops the event hides no click.
  addEventListener("click", onClick, true);
  addEventListener("auxclick", onClick, true);
}
