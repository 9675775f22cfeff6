/**
 * What `leadclicks report --format json` prints: {@link LeadClicksResponse} with `--by-email`, {@link LeadsResponse} with `--leads`,
 * {@link LeadClicksByExpertResponse} with `--expert`, {@link LeadTimelineResponse} with `--email`,
 * {@link DomainTimelineResponse} with `--email` and a domain,
 * {@link ExpertRankingResponse} with `--by-expert`, {@link QueryRankingResponse} with `--by-query` and
 * {@link DailyClicksResponse} with `--by-day`; and {@link SummaryResponse} is what `leadclicks summary --format json`
 * prints. The emails and searches came from visitors: escape them.
 */

/** The period of the report, if one was given, the period before, and who is left out. */
export interface ReportScope {
  /** The first instant of the period, RFC 3339 in UTC; absent if it has no beginning. */
  since?: string;
  /** The first instant after the period; absent if it has no end. */
  until?: string;
  /** The period before, with `--compare`. */
  before?: ClickCounts & { since: string; until: string };
  /** The addresses and domains of `--exclude`, for instance `@example.com`; absent without any. */
  excluded?: string[];
}

/** A lead's click on an expert. */
export interface LeadClickEntry {
  expert_username: string;
  /** First and last name; the username if the expert is unknown or both are blank. */
  expert_name: string;
  /** As sent; `""` without a search. */
  search_query: string;
  /** RFC 3339 in UTC with microseconds: `2026-11-22T19:04:31.405912Z`. */
  created_at: string;
}

/** A lead and all clicks that the report selects, newest first. */
export interface LeadClicksByEmail {
  email: string;
  clicks: LeadClickEntry[];
}

/** The leads that the report selects, in the order of `--sort`: by default, the one with the latest click first. */
export interface LeadClicksResponse extends ReportScope {
  leads: LeadClicksByEmail[];
}

/** A lead in one row. */
export interface LeadOverview {
  email: string;
  clicks: number;
  /** The number of different experts with clicks of this lead. */
  experts: number;
  /** As `created_at` in {@link LeadClickEntry}. */
  first_click_at: string;
  /** As `created_at` in {@link LeadClickEntry}. */
  latest_click_at: string;
  /** The expert with the most clicks; of several, the one who was clicked last. */
  top_expert_username: string;
  /** As `expert_name` in {@link LeadClickEntry}. */
  top_expert_name: string;
  /** The latest search that is not blank; `""` without one. */
  latest_search_query: string;
}

/** The leads that the report selects, in the order of `--sort`. */
export interface LeadsResponse extends ReportScope {
  leads: LeadOverview[];
}

/** A click on the expert that was asked for. */
export interface LeadClickOnExpert {
  email: string;
  /** As in {@link LeadClickEntry}. */
  search_query: string;
  /** As in {@link LeadClickEntry}. */
  created_at: string;
}

/** The clicks on one expert, newest first. */
export interface LeadClicksByExpertResponse extends ReportScope {
  expert_username: string;
  /** As in {@link LeadClickEntry}. */
  expert_name: string;
  clicks: LeadClickOnExpert[];
}

/** The clicks of one lead, newest first. */
export interface LeadTimelineResponse extends ReportScope {
  email: string;
  clicks: LeadClickEntry[];
}

/** A click of one of the leads of a domain. */
export interface LeadClickAtDomain extends LeadClickEntry {
  email: string;
}

/** The clicks of all leads whose emails are of one domain, newest first. */
export interface DomainTimelineResponse extends ReportScope {
  /** Without the `@`. */
  domain: string;
  clicks: LeadClickAtDomain[];
}

/** How many clicks there were, and by how many different leads. */
export interface ClickCounts {
  clicks: number;
  leads: number;
}

/** The fields that experts and searches share in a ranking. */
export interface RankedEntry extends ClickCounts {
  /** Share of all selected clicks, from 0 to 1, with four decimal places. */
  share: number;
  /** As `created_at` in {@link LeadClickEntry}. */
  latest_click_at: string;
  /** The clicks in the period before; only with `--compare`. */
  clicks_before?: number;
}

/** An expert in a ranking. */
export interface RankedExpert extends RankedEntry {
  expert_username: string;
  /** As in {@link LeadClickEntry}. */
  expert_name: string;
}

/** A search in a ranking. Those that differ only in case and white space are one, shown as it was typed last. */
export interface RankedQuery extends RankedEntry {
  search_query: string;
}

/** Experts, the one with the most clicks first. The counts are of all clicks that the report selects. */
export interface ExpertRankingResponse extends ClickCounts, ReportScope {
  experts: RankedExpert[];
}

/** Searches, the one with the most clicks first. The counts are of all clicks that the report selects. */
export interface QueryRankingResponse extends ClickCounts, ReportScope {
  queries: RankedQuery[];
}

/** A day in the requested time zone. */
export interface DayCounts extends ClickCounts {
  /** `2026-11-22` */
  day: string;
}

/**
 * The days from the first click, or the beginning of the period, to the last, the newest first. The counts are of all clicks
 * that the report selects.
 */
export interface DailyClicksResponse extends ClickCounts, ReportScope {
  days: DayCounts[];
}

/** The result of a check. A warning needs attention. */
export type CheckState = "ok" | "warning" | "problem";

/** One check. */
export interface Check {
  check: string;
  state: CheckState;
  found: string;
  /** What to do; `null` if nothing, or if `found` says so. */
  next: string | null;
}

/** The health of the database. */
export interface CheckResponse {
  /** The worst of the checks. */
  state: CheckState;
  checks: Check[];
}

/** A lead's first click. */
export interface NewLead {
  email: string;
  /** As `created_at` in {@link LeadClickEntry}. */
  first_click_at: string;
  expert_username: string;
  /** As in {@link LeadClickEntry}. */
  expert_name: string;
  /** As in {@link LeadClickEntry}. */
  search_query: string;
  /** The number of the lead's clicks so far. */
  clicks: number;
}

/** The overview. */
export interface SummaryResponse extends ClickCounts, Pick<ReportScope, "before" | "excluded"> {
  /** The number of different experts with clicks. */
  experts: number;
  /** `null` without clicks. */
  first_click_at: string | null;
  /** `null` without clicks. */
  latest_click_at: string | null;
  /** From Monday on. */
  this_week: ClickCounts;
  /** Up to the same day and time. */
  last_week_by_now: ClickCounts;
  /** Monday to Sunday. */
  last_week: ClickCounts;
  /** Monday to Sunday. */
  week_before_last: ClickCounts;
  /** The last 30 days, today the last. */
  days: DayCounts[];
  /** Of those days. */
  top_experts: RankedExpert[];
  /** Of those days. */
  top_queries: RankedQuery[];
  /** Those whose first click is the newest. */
  newest_leads: NewLead[];
}
