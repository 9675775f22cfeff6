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

/** What the compiler has to say about JSON as a value of a type: of a literal it refuses missing and further fields. */
async function compile(type: string, json: string): Promise<string> {
  const file = join(directory, "report.ts");
  await writeFile(
    file,
    `import type { ${type} } from "../../../src/index.js";\nexport const report: ${type} = ${json};\n`,
  );
  const flags = ["--noEmit", "--strict", "--module", "esnext", "--moduleResolution", "bundler", "--ignoreConfig"];
  const tsc = join(FRONTEND, "node_modules/.bin/tsc");
  return await promisify(execFile)(tsc, [...flags, file]).then(
    () => "",
    ({ stdout, stderr }) => stdout + stderr,
  );
}

test.each([
  ["LeadClicksResponse", ["--by-email"]],
  ["LeadClicksByExpertResponse", ["--expert", "jdoe"]],
])("%s is what the report prints, no less and no more", async (type, selection) => {
  const json = await daemon.run("report", ...selection, "--format", "json");
  expect(await compile(type, json)).toBe("");

  // And it would have been told otherwise.
  for (const field of new Set(json.match(/"\w+":/g))) {
    expect(await compile(type, json.replace(field, `"other_${field.slice(1)}`))).toContain("other_");
  }
  expect(await compile(type, json.replace(/"created_at":"[^"]*"/, '"created_at":1'))).toContain("TS2322");
});
