import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { checkFile } from "../../src/config/file.ts";
import { resolveInitConfig } from "../../src/config/resolve.ts";
import { documentSchemas, installConfiguration } from "../../src/config/schema.ts";
import { knownMinors, supportedMinors, versionFacts } from "../../src/config/versions.ts";
import { plainFacts } from "../support/facts.ts";

const page = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");

/** The text below `### `name``, up to the next heading. */
function section(name: string): string {
  return new RegExp(`^### \`${name}\`\\n([^]*?)(?=^##)`, "m").exec(page)?.[1] ?? "";
}

test("docs/configuration.md explains every field of InstallConfiguration, its values and its default", () => {
  const fields = Object.entries(installConfiguration.fields).filter(([name]) => !["apiVersion", "kind"].includes(name));
  assert.ok(fields.length >= 3);
  for (const [name, schema] of fields) {
    const text = section(name);
    assert.notEqual(text, "", `${name} has no section`);
    assert.match(text, /^Default: /m, `${name} has no default`);
    const values = schema.type === "enum" ? schema.values : schema.type === "boolean" ? ["true", "false"] : [];
    for (const value of values) assert.ok(text.includes(`\`${value}\``), `${name} does not mention ${value}`);
  }
  const documented = [...page.matchAll(/^### `([^`]+)`$/gm)].map(([, name]) => name);
  assert.deepEqual(documented, fields.map(([name]) => name));
});

test("docs/configuration.md has an example that sets every field and is accepted", () => {
  const example = /```yaml\n([^]*?)```/.exec(page)?.[1] ?? "";
  const { loaded } = checkFile({ name: "example.yaml", text: example }, plainFacts());
  assert.deepEqual(Object.keys(loaded.documents[0]?.value ?? {}).sort(), Object.keys(installConfiguration.fields).sort());
  assert.deepEqual(resolveInitConfig({ options: {}, facts: plainFacts(), file: { name: "example.yaml", text: example } }).config.install, {
    cni: "bridge", serviceRoute: "Never", waitFor: "none", signaturePolicy: "Require", trustedKeys: ["sha256:1e4f7c0a9d2b58e36a7f41c09be2d5836f0a1c7be94d2358a6f01b7c3e9d4a52"], ha: false,
  });
});

test("docs/configuration.md names every kind and every version there is data for", () => {
  for (const key of Object.keys(documentSchemas)) {
    const [apiVersion = "", kind = ""] = key.split(" ");
    assert.ok(page.split("\n").some((line) => line.startsWith(`| \`${apiVersion}\` |`) && line.includes(`\`${kind}\``)), key);
  }
  for (const minor of knownMinors) {
    const facts = versionFacts(minor);
    const use = supportedMinors.includes(minor) ? "control planes and nodes" : "kubelets of nodes that join";
    assert.ok(page.includes(`| 1.${minor} | ${facts?.etcdTag} | ${facts?.corednsTag} | ${facts?.pauseTag} | ${use} |`), `1.${minor}`);
  }
});
