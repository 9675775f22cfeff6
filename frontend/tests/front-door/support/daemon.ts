import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { LeadClickEntry, LeadClicksResponse } from "../../../src/index.js";

export const BIN_DIR =
  process.env.LEADCLICKS_BIN_DIR ?? fileURLToPath(new URL("../../../../target/debug", import.meta.url));

/** Long enough for a machine that is busy with something else. */
const PATIENCE_MS = 30_000;

/** A stored click, without its time. */
export interface Stored {
  email: string;
  expert_username: string;
  search_query: string;
}

/** The real leadclicksd on a database of its own, and the real leadclicks to read it. */
export class Daemon {
  #process: ChildProcess | undefined;
  #flags: string[] = [];
  #log = "";
  /** `127.0.0.1:PORT`, the same after a restart. */
  address = "127.0.0.1:0";

  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async start(...flags: string[]): Promise<Daemon> {
    const daemon = new Daemon(await mkdtemp(join(tmpdir(), "leadclicks-")));
    daemon.#flags = flags;
    try {
      await daemon.restart();
    } catch (error) {
      daemon.#process?.kill("SIGKILL");
      await rm(daemon.directory, { recursive: true });
      throw error;
    }
    return daemon;
  }

  get db(): string {
    return join(this.directory, "leadclicks.db");
  }

  get endpoint(): string {
    return `http://${this.address}/api/lead-clicks`;
  }

  /** Starts it again at the same address, if it was stopped. */
  async restart(): Promise<void> {
    if (this.#process) return;
    const args = ["--db", this.db, "--listen", this.address, ...this.#flags];
    const process = spawn(join(BIN_DIR, "leadclicksd"), args, { stdio: ["ignore", "pipe", "pipe"] });
    this.#process = process;
    process.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text;
    });
    await once(process, "spawn");
    const lines = createInterface({ input: process.stdout });
    const [ready] = await once(lines, "line", { signal: AbortSignal.timeout(PATIENCE_MS) }).catch((error) => {
      throw new Error(`leadclicksd is not ready: ${error}\n${this.#log}`);
    });
    const address = /http:\/\/(127\.0\.0\.1:\d+)\//.exec(ready)?.[1];
    if (!address) throw new Error(`no address in the ready line: ${ready}`);
    this.address = address;
  }

  async stop(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (!process) return;
    if (process.exitCode === null) {
      process.kill("SIGTERM");
      await once(process, "exit", { signal: AbortSignal.timeout(PATIENCE_MS) });
    }
    const code = process.exitCode;
    if (code !== 0) throw new Error(`leadclicksd exited with ${code}\n${this.#log}`);
    if (/\S@\S|panicked at/.test(this.#log)) throw new Error(`an email or a panic is in the log\n${this.#log}`);
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (!process || process.exitCode !== null) return;
    process.kill("SIGKILL");
    await once(process, "exit", { signal: AbortSignal.timeout(PATIENCE_MS) });
  }

  async remove(): Promise<void> {
    await this.stop();
    await rm(this.directory, { recursive: true });
  }

  /** The output of `leadclicks`. */
  async run(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(join(BIN_DIR, "leadclicks"), ["--db", this.db, ...args]);
    return stdout;
  }

  /** All clicks of one lead in the order in which they happened, by the report. */
  async clicksOf(email: string): Promise<Stored[]> {
    const rows = await this.rowsOf(email);
    return rows.map(({ expert_username, search_query }) => ({ email, expert_username, search_query }));
  }

  /** The same, with all that the report says. */
  async rowsOf(email: string): Promise<LeadClickEntry[]> {
    const { leads }: LeadClicksResponse = JSON.parse(await this.run("report", "--by-email", "--format", "json"));
    return leads.find((lead) => lead.email === email)?.clicks.reverse() ?? [];
  }

  /** The experts of one lead's clicks, in the order in which the clicks arrived. */
  async expertsAsArrived(email: string): Promise<string[]> {
    const sql = `SELECT expert_username FROM lead_clicks WHERE email = '${email}' ORDER BY id`;
    const { stdout } = await promisify(execFile)("sqlite3", ["-readonly", this.db, sql]);
    return stdout.trim().split("\n");
  }

  /** The clicks of a lead as soon as there are that many, or as they are when it took too long. */
  async clicksOnceThere(email: string, count: number): Promise<Stored[]> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      const clicks = await this.clicksOf(email);
      if (clicks.length >= count || Date.now() > deadline) return clicks;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}
