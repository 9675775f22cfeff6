import type { Expert } from "../src/react.js";

/** A drawn portrait, since the experts are invented. */
function portrait(skin: string, hair: string, shirt: string): string {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 96 96">
    <rect width="96" height="96" fill="#dfe7f3"/>
    <path d="M14 96a34 30 0 0 1 68 0" fill="${shirt}"/>
    <rect x="40" y="54" width="16" height="18" rx="8" fill="${skin}"/>
    <circle cx="48" cy="42" r="21" fill="${skin}"/>
    <path d="M26 44c-2-32 46-32 44 0-4-10-10-14-18-15-8 4-18 6-26 15z" fill="${hair}"/>
  </svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

function expert(username: string, fields: Omit<Expert, "username" | "profile_url"> = {}): Expert {
  return { username, profile_url: `profile.html?expert=${encodeURIComponent(username)}`, ...fields };
}

/** Invented people, among them one with nothing but a username and one whose photo is gone. */
export const EXPERTS: readonly Expert[] = [
  expert("jdoe", {
    first_name: "John",
    last_name: "Doe",
    job_title: "Pricing strategist",
    company: "Fairmark",
    hourly_rate: 180,
    currency: "USD",
    photo_url: portrait("#e8b995", "#4b2f20", "#2f5d8a"),
    tags: ["pricing", "SaaS", "negotiation"],
  }),
  expert("zoe", {
    first_name: "Zoë",
    last_name: "Tan",
    job_title: "Chief technology officer",
    company: "Larkspur Labs",
    hourly_rate: 240,
    currency: "EUR",
    photo_url: portrait("#d9a37c", "#1d1a1a", "#7b3f61"),
    tags: ["architecture", "hiring", "SaaS"],
  }),
  expert("amina", {
    first_name: "Amina",
    last_name: "Okafor",
    job_title: "Growth lead",
    company: "Tidewater",
    hourly_rate: 150,
    currency: "GBP",
    photo_url: portrait("#8d5a3b", "#17120f", "#1f7a5c"),
    tags: ["growth", "b2b", "content"],
  }),
  expert("mlindqvist", {
    first_name: "Märta",
    last_name: "Lindqvist",
    job_title: "Interim CFO",
    company: "Northbook",
    hourly_rate: 2100,
    currency: "SEK",
    tags: ["fundraising", "reporting", "pricing"],
  }),
  expert("raj.p", {
    first_name: "Raj",
    last_name: "Patwardhan",
    job_title: "Security engineer",
    company: "Quillgate",
    hourly_rate: 195.5,
    currency: "USD",
    photo_url: "photo-that-is-gone.jpg",
    tags: ["security", "compliance"],
  }),
  expert("helga", {
    first_name: "Helga",
    last_name: "Brandt",
    job_title: "Supply chain consultant",
    company: "Hafenkontor",
    hourly_rate: 130,
    currency: "EUR",
    photo_url: portrait("#f0c9a8", "#b9b3ab", "#8a5a2b"),
    tags: ["logistics", "negotiation", "b2b"],
  }),
  expert("teo", {
    first_name: "Teo",
    last_name: "Marín",
    job_title: "Product designer",
    hourly_rate: 110,
    currency: "EUR",
    photo_url: portrait("#c68f66", "#5a2e12", "#3b4a6b"),
    tags: ["design", "research", "hiring"],
  }),
  expert("quiet_expert_42"),
];

/** The experts that a search finds, each with the reason. */
export function search(query: string): Expert[] {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [...EXPERTS];
  return EXPERTS.flatMap((expert) => {
    const { username, first_name, last_name, job_title, company, tags = [] } = expert;
    const text = [username, first_name, last_name, job_title, company, ...tags].join(" ").toLowerCase();
    if (!words.every((word) => text.includes(word))) return [];
    const known = tags.filter((tag) => words.some((word) => tag.toLowerCase().includes(word)));
    return { ...expert, match_reason: known.length > 0 ? `Knows ${known.join(" and ")}.` : null };
  });
}
