import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile, readlink } from "node:fs/promises";
import type { Readable } from "node:stream";

/** Of Debian's WebKitGTK, which has Safari's engine. The driver finds the browser, which comes with the library. */
const DRIVER = "/usr/bin/WebKitWebDriver";

/** Long enough for a machine that is busy with something else. */
const PATIENCE_MS = 15_000;

/** How WebDriver names an element: https://www.w3.org/TR/webdriver2/#elements */
const ELEMENT = "element-6066-11e4-a52e-4f735466cecf";

/** A virtual display, because WebKitGTK has no headless mode. */
export class Display {
  readonly #process: ChildProcess;
  readonly #number: string;

  private constructor(process: ChildProcess, number: string) {
    this.#process = process;
    this.#number = number;
  }

  static async start(): Promise<Display> {
    const process = spawn("Xvfb", ["-displayfd", "3", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"], {
      stdio: ["ignore", "ignore", "ignore", "pipe"],
    });
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const [number] = await once(process.stdio[3] as Readable, "data", { signal });
    return new Display(process, String(number).trim());
  }

  /** A browser with a new profile that it keeps in memory, and a driver of its own: each takes only one session. */
  async openSession(): Promise<Session> {
    const driver = spawn(DRIVER, ["--port=0", "--host=127.0.0.1"], {
      env: { ...process.env, DISPLAY: `:${this.#number}`, GDK_BACKEND: "x11", NO_AT_BRIDGE: "1" },
      stdio: "ignore",
    });
    await once(driver, "spawn");
    const address = `http://127.0.0.1:${await listeningPort(driver.pid as number)}`;
    const { sessionId } = (await command(address, "POST", "/session", { capabilities: {} })) as { sessionId: string };
    return new Session(driver, `${address}/session/${sessionId}`);
  }

  async stop(): Promise<void> {
    await end(this.#process);
  }
}

/** A browser with one or more windows. A command goes to the window that was opened or chosen last. */
export class Session {
  readonly #driver: ChildProcess;
  readonly #address: string;

  constructor(driver: ChildProcess, address: string) {
    this.#driver = driver;
    this.#address = address;
  }

  async goto(url: string): Promise<void> {
    await command(this.#address, "POST", "/url", { url });
  }

  async back(): Promise<void> {
    await command(this.#address, "POST", "/back", {});
  }

  /** Runs the body of a function in the page, and returns what that returns. */
  async evaluate(script: string): Promise<unknown> {
    return await command(this.#address, "POST", "/execute/sync", { script, args: [] });
  }

  /** Clicks in the middle of an element, as a mouse does. */
  async click(selector: string): Promise<void> {
    const found = await command(this.#address, "POST", "/element", { using: "css selector", value: selector });
    await command(this.#address, "POST", `/element/${(found as Record<string, string>)[ELEMENT]}/click`, {});
  }

  async windows(): Promise<string[]> {
    return (await command(this.#address, "GET", "/window/handles")) as string[];
  }

  async openWindow(): Promise<string> {
    const { handle } = (await command(this.#address, "POST", "/window/new", { type: "window" })) as { handle: string };
    return handle;
  }

  async chooseWindow(handle: string): Promise<void> {
    await command(this.#address, "POST", "/window", { handle });
  }

  async closeWindow(): Promise<void> {
    await command(this.#address, "DELETE", "/window");
  }

  async close(): Promise<void> {
    await command(this.#address, "DELETE", "");
    await end(this.#driver);
  }
}

async function end(process: ChildProcess): Promise<void> {
  if (process.exitCode !== null || process.signalCode !== null) return;
  process.kill();
  await once(process, "exit", { signal: AbortSignal.timeout(PATIENCE_MS) });
}

async function command(address: string, method: string, path: string, parameters?: object): Promise<unknown> {
  const body = parameters ? JSON.stringify(parameters) : null;
  const response = await fetch(address + path, { method, body, signal: AbortSignal.timeout(2 * PATIENCE_MS) });
  const { value } = (await response.json()) as { value: unknown };
  if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(value)}`);
  return value;
}

/** The port of IPv4 on which a process listens, as soon as it does: the driver prints none. */
async function listeningPort(pid: number): Promise<number> {
  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    const descriptors = await readdir(`/proc/${pid}/fd`);
    const links = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => "")));
    // https://www.kernel.org/doc/html/latest/networking/proc_net_tcp.html; the state 0A is LISTEN.
    for (const line of (await readFile(`/proc/${pid}/net/tcp`, "utf8")).split("\n")) {
      const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state === "0A" && links.includes(`socket:[${inode}]`)) return Number.parseInt(local.split(":")[1] ?? "", 16);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`process ${pid} listens on no port`);
}
