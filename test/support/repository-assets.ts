/** The bundled texts, read from the checkout: what the executable carries as its assets. */
import { readFileSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Assets } from "../../src/engine/types.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

export const repositoryAssets: Assets = {
  text: (path) => readFileSync(`${root}${path}`, "utf8"),
  list: (prefix) => readdirSync(`${root}${prefix}`, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => `${entry.parentPath.slice(root.length)}/${entry.name}`).sort(),
};
