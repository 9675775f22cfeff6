/** The body of a `POST` to leadclicksd, as `application/json` or as `text/plain` that holds the same JSON. */
export interface LeadClickBody {
  /** 1 to 320 characters, one `@` with text on both sides. */
  readonly email: string;
  /** 1 to 100 characters. */
  readonly expert_username: string;
  /** Up to 2000 characters; by default `""`. */
  readonly search_query?: string;
  /** A UUID of 36 characters. leadclicksd stores it once, and answers each repetition as if it had stored it again. */
  readonly click_id?: string | undefined;
  /** The age of the click by the sender's clock, at most a day; by default 0. */
  readonly age_ms?: number;
}

/** The body of leadclicksd's answer 202: the click is on its disk. */
export interface LeadClickAccepted {
  readonly status: "accepted";
}
