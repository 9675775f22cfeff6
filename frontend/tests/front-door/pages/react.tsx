/** The cards of the tests' site in React, with the package as it was built. */

import { createRoot } from "react-dom/client";
import { ExpertCard, useExplorerStore, useNltrStore } from "../../../dist/react.js";
import "../../../dist/style.css";
import { EXPERTS } from "../support/experts.js";

const root = document.getElementById("root") as HTMLElement;
const { email, query, endpoint } = JSON.parse(root.dataset.settings ?? "{}");

if (email) useNltrStore.getState().setSubscribed(email);
useExplorerStore.getState().setQuery(query ?? "");

createRoot(root).render(
  EXPERTS.map((username) => (
    <div key={username} id={username}>
      <ExpertCard
        expert={{ username, profile_url: `/experts/${username}`, tags: ["pricing"] }}
        endpoint={endpoint}
        onBookmark={() => {}}
        onTag={() => {}}
      />
    </div>
  )),
);
