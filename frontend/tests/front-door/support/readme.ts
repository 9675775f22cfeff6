import { readFileSync } from "node:fs";

const DOCUMENT = readFileSync(new URL("../../../../docs/browser-integration.md", import.meta.url), "utf8");

/** The code blocks of docs/browser-integration.md in this language. */
export function readmeBlocks(language: string): string[] {
  return [...DOCUMENT.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, "gms"))].map((match) => match[1] ?? "");
}
