/** Whom the cards of the tests' pages show. */
export const EXPERTS = ["e01", "e02", "e03", "e04", "e05", "e06", "e07", "e08", "e09", "e10"];
