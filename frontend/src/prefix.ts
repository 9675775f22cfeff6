/** With what the keys of the outbox begin, the name of its lock, and the lines in the console. */
export const PREFIX = "leadclicks ";
