import { readFileSync } from "node:fs";

const README = readFileSync(new URL("../../../../README.md", import.meta.url), "utf8");

/** README's code blocks in this language. */
export function readmeBlocks(language: string): string[] {
  return [...README.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map((match) => match[1] ?? "");
}
