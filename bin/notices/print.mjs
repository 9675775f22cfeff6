// Prints the licences of the linked crates, each text once. Arguments: a file with the names and versions of these crates, and
// what cargo bundle-licenses has found.
import { readFileSync } from "node:fs";

const [linked, found] = process.argv.slice(2).map((path) => readFileSync(path, "utf8"));
const own = JSON.parse(found).root_name;
const libraries = new Map(
  JSON.parse(found).third_party_libraries.map((library) => [`${library.package_name} ${library.package_version}`, library]),
);

const byText = new Map();
for (const name of linked.trim().split("\n")) {
  if (name.split(" ")[0] === own) continue;
  const library = libraries.get(name);
  if (!library) throw new Error(`cargo bundle-licenses does not name ${name}`);
  for (const { license, text } of library.licenses) {
    if (text === "NOT FOUND") throw new Error(`no text of the licence ${license} of ${name}; add it to bin/notices/known.json`);
    const plain = text.replaceAll("\r\n", "\n").trim();
    const users = byText.get(plain) ?? { license, names: [] };
    users.names.push(`${name} (${library.repository})`);
    byText.set(plain, users);
  }
}
for (const [text, { license, names }] of byText) {
  console.log(`\n${"-".repeat(80)}\n${license}, for:\n\n${names.map((name) => `  ${name}\n`).join("")}\n${text}`);
}
