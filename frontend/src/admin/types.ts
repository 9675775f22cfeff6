/**
 * What `leadclicks report --format json` prints: {@link LeadClicksResponse} with `--by-email` and
 * {@link LeadClicksByExpertResponse} with `--expert`. The emails and searches came from visitors: escape them.
 */

/** A lead's click on an expert. */
export interface LeadClickEntry {
  expert_username: string;
  /** First and last name; the username where the expert is unknown or both are blank. */
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

/** The leads that the report selects, the one with the latest click first. */
export interface LeadClicksResponse {
  leads: LeadClicksByEmail[];
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
export interface LeadClicksByExpertResponse {
  expert_username: string;
  /** As in {@link LeadClickEntry}. */
  expert_name: string;
  clicks: LeadClickOnExpert[];
}
