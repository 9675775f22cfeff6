/** The cards of the tests' site in React, with the package as it was built. */

import { createRoot } from "react-dom/client";
import { type Expert, ExpertCard, useExplorerStore, useNltrStore } from "../../../dist/react.js";
import "../../../dist/style.css";
import { EXPERTS } from "../support/experts.js";

const root = document.getElementById("root") as HTMLElement;
const { email, query, endpoint } = JSON.parse(root.dataset.settings ?? "{}");

if (email) useNltrStore.getState().setSubscribed(email);
useExplorerStore.getState().setQuery(query ?? "");

function card(username: string): Expert {
  return {
    username,
    first_name: null,
    last_name: null,
    job_title: null,
    company: null,
    hourly_rate: null,
    currency: null,
    profile_url: `/experts/${username}`,
    photo_url: null,
    tags: ["pricing"],
    match_reason: null,
  };
}

createRoot(root).render(
  EXPERTS.map((username) => (
    <div key={username} id={username}>
      <ExpertCard expert={card(username)} endpoint={endpoint} onBookmark={() => {}} onTag={() => {}} />
    </div>
  )),
);
