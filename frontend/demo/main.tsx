import { type FormEvent, StrictMode, useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { hasOptedOut, optIn, optOut } from "../src/index.js";
import { type CardClick, ExpertCard, useExplorerStore, useNltrStore } from "../src/react.js";
import { search } from "./experts.js";
import "../src/components/marketplace/ExpertCard.css";
import "./style.css";

/** Stands for the host page's analytics. */
function trackEvent(name: string, properties: CardClick) {
  dispatchEvent(new CustomEvent("analytics", { detail: { name, properties } }));
}

function Page() {
  const { query, setQuery } = useExplorerStore();
  const { subscribed } = useNltrStore();
  const [isNew, setIsNew] = useState(false);
  const [bookmarks, setBookmarks] = useState<ReadonlySet<string>>(new Set());
  const experts = search(query);

  const toggleBookmark = (username: string) => {
    const next = new Set(bookmarks);
    if (!next.delete(username)) next.add(username);
    setBookmarks(next);
  };

  return (
    <>
      <header className="masthead">
        <p className="brand">Sound Advice</p>
        <h1>An hour with somebody who has done it before</h1>
        <search>
          <form className="search" onSubmit={(event) => event.preventDefault()}>
            <label htmlFor="query">What do you need help with?</label>
            <input
              id="query"
              type="search"
              placeholder="pricing, hiring, security …"
              autoComplete="off"
              value={query}
              onChange={(event) => setQuery(event.target.value)}
            />
          </form>
        </search>
      </header>
      <main>
        {subscribed ? <Notice isNew={isNew} /> : <Gate onPass={() => setIsNew(true)} />}
        <h2 className="count" aria-live="polite">
          {experts.length === 1 ? "1 expert" : `${experts.length} experts`}
          {query.trim() && ` for “${query.trim()}”`}
        </h2>
        {experts.length === 0 && <p>Nobody yet. Try a tag, such as “pricing” or “b2b”.</p>}
        <ul className="cards">
          {experts.map((expert) => (
            <li key={expert.username}>
              <ExpertCard
                expert={expert}
                trackEvent={trackEvent}
                isBookmarked={bookmarks.has(expert.username)}
                onBookmark={({ username }) => toggleBookmark(username)}
                onTag={setQuery}
              />
            </li>
          ))}
        </ul>
      </main>
      <footer>
        All experts are invented. Clicks of leads go to the leadclicksd that you started, and nowhere else.
      </footer>
    </>
  );
}

/** Where a visitor becomes a lead, and is told what that means. */
function Gate({ onPass }: { onPass: () => void }) {
  const { setSubscribed } = useNltrStore();
  const onSubmit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setSubscribed(String(new FormData(event.currentTarget).get("email")));
    onPass();
  };
  return (
    <section className="panel" aria-labelledby="gate-title">
      <h2 id="gate-title">Get a hand with choosing</h2>
      <p>
        Leave your email, and we introduce you to experts that fit. We then record which experts you open, and what you
        searched for.
      </p>
      <form className="gate" onSubmit={onSubmit}>
        <label htmlFor="email">Email</label>
        <input id="email" name="email" type="email" required autoComplete="email" placeholder="jane@example.com" />
        <button type="submit">Yes, help me choose</button>
      </form>
    </section>
  );
}

/** Tells a lead that clicks are recorded, and lets the lead say no. */
function Notice({ isNew }: { isNew: boolean }) {
  const { email, clear } = useNltrStore();
  const [isOut, setIsOut] = useState(hasOptedOut());
  const section = useRef<HTMLElement>(null);
  useEffect(() => {
    // The form that had the focus is gone.
    if (isNew) section.current?.focus();
  }, [isNew]);
  const toggle = () => {
    if (isOut) optIn();
    else optOut();
    setIsOut(hasOptedOut());
  };
  return (
    <section ref={section} tabIndex={-1} className="panel notice" aria-label="Recording of your clicks">
      <p aria-live="polite">
        {isOut ? (
          <>
            <strong>Your clicks are not recorded.</strong> You are here as {email}.
          </>
        ) : (
          <>
            <strong>Your clicks are recorded</strong> for {email}: the experts you open, and what you searched for.
          </>
        )}
      </p>
      <p className="choices">
        <button type="button" className="quiet" onClick={toggle}>
          {isOut ? "Record my clicks" : "Do not record my clicks"}
        </button>
        <button type="button" className="quiet" onClick={clear}>
          Forget my email
        </button>
      </p>
    </section>
  );
}

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Page />
    </StrictMode>,
  );
}
