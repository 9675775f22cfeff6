import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { LeadClicksResponse } from "../../../src/admin/types.js";
import { BIN_DIR } from "./daemon.js";

export interface Expert {
  username: string;
  name: string;
}

export interface Click {
  email: string;
  username: string;
  query: string;
  /** As it is stored: `YYYY-MM-DD HH:MM:SS`. */
  at: string;
}

/** A database of a host app, which sets no bounds to what its columns hold, and the pages that are made from it. */
export class Database {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async make(experts: Expert[], clicks: Click[]): Promise<Database> {
    const database = new Database(await mkdtemp(join(tmpdir(), "leadclicks-")));
    const sql = [
      "CREATE TABLE experts (username TEXT, first_name TEXT, last_name TEXT);",
      "CREATE TABLE lead_clicks (id INTEGER PRIMARY KEY, email TEXT, expert_username TEXT, search_query TEXT, created_at TEXT);",
      "BEGIN;",
      ...experts.map(({ username, name }) => `INSERT INTO experts VALUES (${text(username)}, '', ${text(name)});`),
      ...clicks.map(
        ({ email, username, query, at }) =>
          `INSERT INTO lead_clicks (id, email, expert_username, search_query, created_at) VALUES (NULL, ${text(email)}, ${text(username)}, ${text(query)}, ${text(at)});`,
      ),
      "COMMIT;",
    ];
    const sqlite = promisify(execFile)("sqlite3", ["-bail", database.#db]);
    sqlite.child.stdin?.end(sql.join("\n"));
    await sqlite;
    return database;
  }

  get #db(): string {
    return join(this.directory, "leadclicks.db");
  }

  /** The address of a page that a report has written, in UTC; or the summary, if that is the first word. */
  async page(...question: string[]): Promise<string> {
    const file = await mkdtemp(join(this.directory, "page-")).then((directory) => join(directory, "report.html"));
    const report = question[0]?.startsWith("--") ? ["report", ...question] : question;
    const args = ["--db", this.#db, ...report, "--tz", "UTC", "--format", "html", "--output", file];
    await promisify(execFile)(join(BIN_DIR, "leadclicks"), args);
    return pathToFileURL(file).href;
  }

  /** The report by lead. */
  async leads(): Promise<LeadClicksResponse> {
    const args = ["--db", this.#db, "report", "--by-email", "--format", "json"];
    const { stdout } = await promisify(execFile)(join(BIN_DIR, "leadclicks"), args, { maxBuffer: 16 * 1024 * 1024 });
    return JSON.parse(stdout);
  }

  async remove(): Promise<void> {
    await rm(this.directory, { recursive: true });
  }
}

/** Any text as SQL, whatever it holds. */
function text(value: string): string {
  return `CAST(X'${Buffer.from(value).toString("hex")}' AS TEXT)`;
}
