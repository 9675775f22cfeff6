/** The prefix of the outbox keys and of console lines, and the name of the outbox lock. */
export const PREFIX = "leadclicks ";
