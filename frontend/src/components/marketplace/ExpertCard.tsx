import { type MouseEvent, useState } from "react";
import { captureLeadClick } from "../../captureLeadClick.js";
import { type ExplorerState, useExplorerStore } from "../../store/explorerStore.js";
import { type NltrState, useNltrStore } from "../../store/nltrStore.js";

/** An expert as the marketplace's search returns it. Only the username is required. */
export interface Expert {
  readonly username: string;
  readonly profile_url: string;
  readonly first_name?: string | null | undefined;
  readonly last_name?: string | null | undefined;
  readonly job_title?: string | null | undefined;
  readonly company?: string | null | undefined;
  /** In units of the currency, not in cents. */
  readonly hourly_rate?: number | null | undefined;
  /** An ISO 4217 code, such as `"EUR"`. */
  readonly currency?: string | null | undefined;
  readonly photo_url?: string | null | undefined;
  readonly tags?: readonly string[] | undefined;
  /** Why the search found this expert. */
  readonly match_reason?: string | null | undefined;
}

export interface ExpertCardProps {
  readonly expert: Expert;
  /** The host page's analytics; called before the click is captured. */
  readonly trackEvent?: ((name: "card_click", properties: CardClick) => void) | undefined;
  /** The endpoint that lead clicks are posted to, see `captureLeadClick`. */
  readonly endpoint?: string | undefined;
  readonly isBookmarked?: boolean | undefined;
  /** If it is missing, there is no bookmark button. */
  readonly onBookmark?: ((expert: Expert) => void) | undefined;
  /** If it is missing, tags are plain text. */
  readonly onTag?: ((tag: string) => void) | undefined;
  /** The stores of the visitor and the search, if the page has its own. */
  readonly nltrStore?: { getState(): Pick<NltrState, "subscribed" | "email"> } | undefined;
  readonly explorerStore?: { getState(): Pick<ExplorerState, "query"> } | undefined;
}

/** The event that the host page's analytics receive for a click. */
export interface CardClick {
  readonly expert_username: string;
  readonly search_query: string;
}

/**
 * A card that is one link to the expert's profile, stretched over all of it, with the buttons on top and not inside: so
 * a keyboard, a middle click, Ctrl-click and a screen reader meet a real link, and a button is never a click on the
 * card. Needs `leadclicks/style.css`.
 */
export function ExpertCard({
  expert,
  trackEvent,
  endpoint,
  isBookmarked = false,
  onBookmark,
  onTag,
  nltrStore = useNltrStore,
  explorerStore = useExplorerStore,
}: ExpertCardProps) {
  const name = nameOf(expert);
  const role = [expert.job_title, expert.company].filter(Boolean).join(", ");
  const rate = rateOf(expert);
  const tags = [...new Set(expert.tags)];

  const onOpen = ({ button }: MouseEvent) => {
    // The right button and further ones do not open the link.
    if (button > 1) return;
    const { subscribed, email } = nltrStore.getState();
    const { query } = explorerStore.getState();
    try {
      trackEvent?.("card_click", { expert_username: expert.username, search_query: query });
    } finally {
      captureLeadClick(
        { email: subscribed ? email : null, expert_username: expert.username, search_query: query },
        { endpoint },
      );
    }
  };

  return (
    <article className="expert-card">
      <Photo key={expert.photo_url} expert={expert} name={name} />
      <div className="expert-card-text">
        <h3 className="expert-card-name">
          {/* A middle click is auxclick, not click: https://w3c.github.io/uievents/#event-type-auxclick */}
          <a className="expert-card-link" href={expert.profile_url} onClick={onOpen} onAuxClick={onOpen}>
            {name}
          </a>
        </h3>
        {role && <p className="expert-card-role">{role}</p>}
        {rate && (
          // A server may format numbers in another language than the visitor's browser.
          <p className="expert-card-rate" suppressHydrationWarning>
            {rate}
          </p>
        )}
      </div>
      {onBookmark && (
        <button
          type="button"
          className="expert-card-bookmark"
          aria-pressed={isBookmarked}
          aria-label={`Bookmark ${name}`}
          onClick={() => onBookmark(expert)}
        >
          <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
            <path d="M6 3h12v18l-6-4.5L6 21z" />
          </svg>
        </button>
      )}
      {expert.match_reason && <p className="expert-card-reason">{expert.match_reason}</p>}
      {tags.length > 0 && (
        <ul className="expert-card-tags" aria-label="Tags">
          {tags.map((tag) => (
            <li key={tag}>
              {onTag ? (
                <button type="button" className="expert-card-tag" onClick={() => onTag(tag)}>
                  {tag}
                </button>
              ) : (
                <span className="expert-card-tag">{tag}</span>
              )}
            </li>
          ))}
        </ul>
      )}
    </article>
  );
}

/** The photo, or initials if it is missing or does not load. Decorative, because the name is next to it. */
function Photo({ expert, name }: { expert: Expert; name: string }) {
  const [isBroken, setIsBroken] = useState(false);
  if (!expert.photo_url || isBroken) {
    return (
      <span className="expert-card-photo" aria-hidden="true">
        {initialsOf(name)}
      </span>
    );
  }
  return (
    <img
      className="expert-card-photo"
      src={expert.photo_url}
      alt=""
      loading="lazy"
      // On a page rendered on the server, the photo may have failed before React listened.
      ref={(image) => {
        if (image?.complete && image.naturalWidth === 0) setIsBroken(true);
      }}
      onError={() => setIsBroken(true)}
    />
  );
}

function nameOf({ first_name, last_name, username }: Expert): string {
  return `${first_name ?? ""} ${last_name ?? ""}`.trim() || username;
}

/** The first letters of the first and the last word. */
function initialsOf(name: string): string {
  const letters = name.split(/\s+/).map((word) => [...word][0] ?? "");
  return [letters[0], letters.length > 1 ? letters.at(-1) : ""].join("").toUpperCase();
}

function rateOf({ hourly_rate, currency }: Expert): string | null {
  if (hourly_rate == null) return null;
  try {
    const format = new Intl.NumberFormat(undefined, {
      style: "currency",
      currency: currency ?? "",
      maximumFractionDigits: Number.isInteger(hourly_rate) ? 0 : 2,
    });
    return `${format.format(hourly_rate)} per hour`;
  } catch {
    // The code is not valid for Intl.
    return `${`${hourly_rate} ${currency ?? ""}`.trim()} per hour`;
  }
}
