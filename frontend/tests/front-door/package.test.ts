import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readmeBlocks } from "./support/readme.js";

const FRONTEND = fileURLToPath(new URL("../..", import.meta.url));

/** A project that has installed what `npm pack` makes. */
let project: string;

beforeAll(async () => {
  // React and zustand are found further up.
  await mkdir(join(FRONTEND, "node_modules/.cache"), { recursive: true });
  project = await mkdtemp(join(FRONTEND, "node_modules/.cache/project-"));
  const { stdout } = await run("npm", ["pack", "--ignore-scripts", "--pack-destination", project], FRONTEND);
  const installed = join(project, "node_modules/leadclicks");
  await mkdir(installed, { recursive: true });
  await run(
    "tar",
    ["--extract", "--strip-components=1", `--file=${stdout.trim()}`, `--directory=${installed}`],
    project,
  );
});

afterAll(async () => {
  if (project) await rm(project, { recursive: true });
});

async function run(program: string, args: string[], cwd: string): Promise<{ stdout: string }> {
  return await promisify(execFile)(program, args, { cwd }).catch(({ stdout, stderr }) => {
    throw new Error(`${program} ${args.join(" ")}\n${stdout}${stderr}`);
  });
}

test.each([
  ["bundler", "esnext"],
  ["nodenext", "nodenext"],
])("README's examples compile against the package, with module resolution %s", async (moduleResolution, module) => {
  const examples = readmeBlocks("tsx");
  expect(examples).toHaveLength(2);
  const files = examples.map((_, index) => `example${index}.tsx`);
  for (const [index, example] of examples.entries()) await writeFile(join(project, files[index] ?? ""), example);
  await writeFile(join(project, "package.json"), JSON.stringify({ type: "module" }));
  const compilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: false,
    jsx: "react-jsx",
    target: "es2022",
    module,
    moduleResolution,
    // As a project of Vite has, among them those of style sheets.
    types: ["vite/client"],
  };
  await writeFile(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
  await run(join(FRONTEND, "node_modules/.bin/tsc"), ["--project", "."], project);
});

test("the package loads and renders on a server", async () => {
  const script = `
    import { createElement } from "react";
    import { renderToStaticMarkup } from "react-dom/server";
    import { captureLeadClick, hasOptedOut } from "leadclicks";
    import { ExpertCard, useNltrStore } from "leadclicks/react";

    useNltrStore.getState().setSubscribed("jane@example.com");
    captureLeadClick({ email: "jane@example.com", expert_username: "jdoe" });
    const expert = { username: "jdoe", profile_url: "/experts/jdoe" };
    console.log(hasOptedOut(), renderToStaticMarkup(createElement(ExpertCard, { expert })));`;
  const { stdout } = await run("node", ["--input-type=module", "--eval", script], project);
  expect(stdout).toContain('false <article class="expert-card">');
  expect(stdout).toContain('<a class="expert-card-link" href="/experts/jdoe">jdoe</a>');
});
