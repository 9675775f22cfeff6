import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Daemon } from "./support/daemon.js";

const FRONTEND = fileURLToPath(new URL("../..", import.meta.url));

let daemon: Daemon;
let directory: string;

beforeAll(async () => {
  daemon = await Daemon.start();
  // Inside the package, so that the compiler finds what it would find for any of its files.
  directory = await mkdtemp(join(FRONTEND, "node_modules/.cache/admin-types-"));
  for (const [email, expert_username] of [
    ["jane@example.com", "jdoe"],
    ["jane@example.com", "zoe"],
    ["max@example.com", "jdoe"],
  ]) {
    const body = JSON.stringify({ email, expert_username, search_query: "pricing" });
    const { status } = await fetch(daemon.endpoint, { method: "POST", body });
    expect(status).toBe(202);
  }
});

afterAll(async () => {
  await daemon?.remove();
  if (directory) await rm(directory, { recursive: true });
});

/** The compiler's errors for each JSON as a value of a type. It rejects missing and additional fields of a literal. */
async function compile(type: string, jsons: string[]): Promise<string[]> {
  const file = join(directory, "report.ts");
  const values = jsons.map((json, number) => `export const value${number}: ${type} = ${json.trim()};\n`);
  await writeFile(file, `import type { ${type} } from "../../../src/index.js"; ${values.join("")}`);
  const flags = ["--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "--ignoreConfig"];
  const tsc = join(FRONTEND, "node_modules/.bin/tsc");
  const output: string = await promisify(execFile)(tsc, [...flags, file]).then(
    () => "",
    ({ stdout, stderr }) => stdout + stderr,
  );
  // A value a line.
  const errors = output.split(/^(?=\S)/m);
  return jsons.map((_, number) => errors.filter((error) => error.includes(`report.ts(${number + 1},`)).join(""));
}

test.each([
  ["LeadClicksResponse", ["report", "--by-email"]],
  ["LeadsResponse", ["report", "--leads", "--period", "today"]],
  ["LeadClicksByExpertResponse", ["report", "--expert", "jdoe"]],
  ["LeadTimelineResponse", ["report", "--email", "jane@example.com"]],
  ["DomainTimelineResponse", ["report", "--email", "@example.com"]],
  ["ExpertRankingResponse", ["report", "--by-expert"]],
  ["ExpertRankingResponse", ["report", "--by-expert", "--since", "today", "--compare", "--exclude", "me@example.com"]],
  ["QueryRankingResponse", ["report", "--by-query"]],
  ["DailyClicksResponse", ["report", "--by-day"]],
  ["SummaryResponse", ["summary"]],
  ["SummaryResponse", ["summary", "--compare"]],
  ["CheckResponse", ["check"]],
])("%s is what leadclicks prints, no less and no more", async (type, command) => {
  const json = await daemon.run(...command, "--format", "json");
  const fields = [...new Set(json.match(/"\w+":/g))];
  const [itself, numbered, ...renamed] = await compile(type, [
    json,
    json.replace(/"(\w+_at|day|found)":"[^"]*"/, '"$1":1'),
    ...fields.map((field) => json.replace(field, `"other_${field.slice(1)}`)),
  ]);
  expect(itself).toBe("");

  // The check can fail.
  expect(numbered).toContain("TS2322");
  expect(renamed).toEqual(fields.map((field) => expect.stringContaining(`other_${field.slice(1, -2)}`)));
});
