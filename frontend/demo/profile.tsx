import { createRoot } from "react-dom/client";
import { EXPERTS } from "./experts.js";
import "./style.css";

/** Where a card leads: a real page of its own, so that a click on a card leaves the page it is on. */
function Profile({ username }: { username: string }) {
  const expert = EXPERTS.find((expert) => expert.username === username);
  const name = expert?.first_name ? `${expert.first_name} ${expert.last_name}` : username;
  return (
    <main className="profile">
      <p>
        <a href="./">All experts</a>
      </p>
      <h1>{expert ? name : "No such expert"}</h1>
      {expert?.job_title && <p>{[expert.job_title, expert.company].filter(Boolean).join(", ")}</p>}
      <p>
        If you left your email and the daemon is running, the click that brought you here is in its database. See it
        with <code>leadclicks report --by-email</code>.
      </p>
    </main>
  );
}

const root = document.getElementById("root");
const username = new URLSearchParams(location.search).get("expert") ?? "";
document.title = `${username} – Sound Advice`;
if (root) createRoot(root).render(<Profile username={username} />);
