/**
 * The direction of imports between the rooms of `src`, as a table. Everything not in it is forbidden; a failure says which
 * arrow it is and why it may not be.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, test } from "node:test";

const source = new URL("../src/", import.meta.url).pathname;

interface Room {
  /** Rooms whose code may be used. */
  readonly uses: readonly string[];
  /** Rooms of which only `types.ts` may be named, and only with `import type`. */
  readonly names: readonly string[];
  /** Why the list is as short as it is: the first thing a failure says. */
  readonly because: string;
}

/** From the outside in. `errors` may be used by all. A file with a row of its own is an exception that a room needs in one place. */
const rooms: Readonly<Record<string, Room>> = {
  "main.ts": { uses: ["cli"], names: [], because: "the entry only turns argv and signals into a command and an exit code" },
  "cli/machine.ts": { uses: ["cluster", "config", "engine", "host", "manifests", "runtime"], names: ["package"], because: "this file alone gives the ports their implementations" },
  cli: { uses: ["config", "engine", "flows", "manifests", "package", "pki"], names: ["cluster", "host", "runtime"], because: "the command line starts flows and shows what they tell; it neither reads nor changes the machine or the cluster by itself" },
  flows: { uses: ["engine", "phases"], names: ["config"], because: "a flow is a list of phases and nothing more" },
  phases: { uses: ["config", "manifests", "pki"], names: ["cluster", "engine", "host", "package"], because: "phases plan and never act: of the rooms that do things they know the types alone" },
  engine: { uses: ["cluster", "host", "package", "runtime"], names: ["config"], because: "the engine carries out any plan and must not know what is planned" },
  pki: { uses: ["config", "manifests"], names: [], because: "certificates are computed from configuration; reading and writing them is for others" },
  manifests: { uses: ["config"], names: ["cluster", "host", "package"], because: "manifests are values computed from configuration" },
  config: { uses: [], names: ["host"], because: "configuration is the ground everything stands on; of the machine it knows facts as plain data" },
  runtime: { uses: [], names: ["package"], because: "the runtime port gets bytes handed in and knows nothing of who asks" },
  package: { uses: [], names: [], because: "the package format stands alone, so that any machine can read and make one" },
  host: { uses: [], names: [], because: "the machine port stands alone" },
  "cluster/cluster-info.ts": { uses: ["pki"], names: [], because: "this file alone asks what a signature, a pin and a certificate say" },
  cluster: { uses: [], names: [], because: "the API port stands alone" },
  "errors.ts": { uses: [], names: [], because: "errors are imported by all and import nothing" },
};

/** Libraries from outside, each where its subject lives: replacing one touches one room. */
const libraries: Readonly<Record<string, readonly string[]>> = {
  "@grpc/grpc-js": ["runtime"],
  "@peculiar/x509": ["pki"],
  "cbor-x": ["package"],
  "protobufjs": ["runtime"],
  "tar-stream": ["package"],
  "undici": ["cluster", "package"],
  "yaml": ["cli", "cluster", "config", "package", "phases", "pki"],
};

/** What a room without effects may take from Node: computing, no files, no network, no processes. */
const pureRooms = ["config", "manifests", "phases", "pki"];
const pureBuiltins: Readonly<Record<string, readonly string[] | "all">> = { "node:buffer": "all", "node:crypto": "all", "node:path": "all", "node:util": "all", "node:net": ["isIP", "isIPv4", "isIPv6", "BlockList"] };

interface Import {
  /** Below `src`. */
  readonly file: string;
  /** As written. */
  readonly target: string;
  readonly typeOnly: boolean;
  readonly names: readonly string[];
}

export function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  for (const [, clause = "", target = ""] of text.matchAll(/^(?:import|export)\b([^;"'`]*?)\bfrom\s+"([^"]+)"/gm)) {
    const typeOnly = /^\s+type\b(?!\s*,|\s+from)/.test(clause);
    const names = (/\{([\s\S]*)\}/.exec(clause)?.[1] ?? clause).split(",").map((name) => name.trim()).filter(Boolean);
    // `import { type A }` does not count: its names are erased, but the module is still run.
    found.push({ file, target, typeOnly, names: names.map((name) => name.split(/\s+as\s+/)[0] as string) });
  }
  for (const [, target = ""] of text.matchAll(/^import\s+"([^"]+)"/gm)) found.push({ file, target, typeOnly: false, names: [] });
  for (const [, target = ""] of text.matchAll(/\bimport\(\s*"([^"]+)"\s*\)/g)) found.push({ file, target, typeOnly: false, names: [] });
  return found;
}

function roomOf(path: string): string {
  return path.includes("/") ? path.slice(0, path.indexOf("/")) : path;
}

/** Why an import may not be, or undefined. */
export function problemOf({ file, target, typeOnly, names }: Import): string | undefined {
  const from = roomOf(file);
  const room = rooms[file] ?? rooms[from];
  if (room === undefined) return `src/${file}: the room ${from} is not in the table of test/imports.test.ts. Give it a row that says what it may use.`;

  if (target.startsWith("node:")) {
    if (!pureRooms.includes(from)) return undefined;
    const allowed = pureBuiltins[target];
    if (allowed === "all" || (allowed !== undefined && names.length > 0 && names.every((name) => allowed.includes(name)))) return undefined;
    return `src/${file} imports ${target}: ${from} is a room without effects (${room.because}). What it needs of the machine comes in as arguments.`;
  }
  if (!target.startsWith(".")) {
    const library = target.split("/").slice(0, target.startsWith("@") ? 2 : 1).join("/");
    if (libraries[library]?.includes(from) === true) return undefined;
    return `src/${file} imports the library ${library}, which belongs to ${libraries[library]?.join(", ") ?? "no room yet"}. Ask that room for what is needed instead.`;
  }

  const reached = join(dirname(file), target);
  if (reached === "../package.json") return undefined; // the version's only home
  if (reached.startsWith("..")) return `src/${file} imports ${target}: source does not reach outside of src.`;
  const to = roomOf(reached);
  if (to === from || to === "errors.ts" || room.uses.includes(to)) return undefined;
  const arrow = `src/${file} imports src/${reached}: the arrow ${from} -> ${to} is not allowed, because ${room.because}.`;
  if (!room.names.includes(to)) return `${arrow} ${from} may use ${list(room.uses)}${room.names.length > 0 ? ` and name the types of ${list(room.names)}` : ""}.`;
  if (!typeOnly) return `${arrow} Only types may cross here: write "import type".`;
  if (reached !== `${to}/types.ts`) return `${arrow} Only its contract may be named: src/${to}/types.ts.`;
  return undefined;
}

function list(names: readonly string[]): string {
  return names.length === 0 ? "no other room" : names.join(", ");
}

function sourceFiles(): string[] {
  return readdirSync(source, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts"))
    .map((entry) => relative(source, join(entry.parentPath, entry.name))).sort();
}

describe("imports", () => {
  const files = sourceFiles();
  const imports = files.flatMap((file) => importsOf(file, readFileSync(join(source, file), "utf8")));

  test("every import below src is an arrow that the design allows", () => {
    assert.ok(files.length > 50 && imports.length > 200, "the reading of the sources itself is broken");
    assert.deepEqual(imports.map(problemOf).filter((problem) => problem !== undefined), []);
  });

  test("the table of rooms has no circle", () => {
    const visit = (name: string, path: readonly string[]): void => {
      assert.ok(!path.includes(name), `rooms use each other in a circle: ${[...path, name].join(" -> ")}`);
      for (const next of rooms[name]?.uses ?? []) visit(next, [...path, name]);
    };
    for (const name of Object.keys(rooms)) visit(name, []);
  });

  test("relative imports name the file with its ending", () => {
    assert.deepEqual(imports.filter(({ target }) => target.startsWith(".") && !/\.(ts|json)$/.test(target)).map(({ file, target }) => `src/${file}: ${target}`), []);
  });

  test("only the command line prints, and only the entry ends the process", () => {
    const offenders = files.filter((file) => {
      const text = readFileSync(join(source, file), "utf8");
      return (roomOf(file) !== "cli" && file !== "main.ts" && /\bprocess\.(stdout|stderr)\b|\bconsole\./.test(text)) || (file !== "main.ts" && /\bprocess\.exit(Code)?\b/.test(text) && roomOf(file) !== "cli");
    });
    assert.deepEqual(offenders, []);
  });
});

describe("the import checker", () => {
  const problem = (file: string, line: string): string => importsOf(file, line).map(problemOf).filter((text) => text !== undefined).join("; ");

  test("lets allowed arrows pass", () => {
    for (const [file, line] of [
      ["phases/certs.ts", `import { issueLeaf } from "../pki/issue.ts";`],
      ["phases/certs.ts", `import type {\n  Action,\n  Phase,\n} from "../engine/types.ts";`],
      ["engine/actions/file.ts", `import { temporaryPath } from "../../host/atomic-write.ts";`],
      ["host/lock.ts", `import { KubestickError } from "../errors.ts";`],
      ["config/address.ts", `import { isIP } from "node:net";`],
      ["cli/machine.ts", `import { nodeHost } from "../host/node-host.ts";`],
    ] as const) assert.equal(problem(file, line), "", line);
  });

  test("names an arrow that points up, and why it may not", () => {
    assert.match(problem("host/lock.ts", `import type { Action } from "../engine/types.ts";`), /the arrow host -> engine is not allowed, because the machine port stands alone/);
    assert.match(problem("engine/run.ts", `import { certs } from "../phases/certs.ts";`), /engine -> phases is not allowed, because the engine carries out any plan/);
    assert.match(problem("cli/init.ts", `import { nodeHost } from "../host/node-host.ts";`), /cli -> host .* Only types may cross here/);
  });

  test("lets a phase name the engine's types and use nothing of it", () => {
    assert.match(problem("phases/certs.ts", `import { runFlow } from "../engine/run.ts";`), /Only types may cross here/);
    assert.match(problem("phases/certs.ts", `import { type Action } from "../engine/types.ts";`), /write "import type"/);
    assert.match(problem("phases/certs.ts", `import type { RunContext } from "../engine/context.ts";`), /Only its contract may be named/);
    assert.match(problem("phases/certs.ts", `const x = await import("../engine/run.ts");`), /phases -> engine/);
  });

  test("keeps files, network and processes out of the rooms without effects", () => {
    assert.match(problem("phases/certs.ts", `import { readFile } from "node:fs/promises";`), /room without effects/);
    assert.match(problem("config/address.ts", `import { isIP, connect } from "node:net";`), /room without effects/);
  });

  test("keeps libraries in their rooms", () => {
    assert.match(problem("phases/certs.ts", `import * as x509 from "@peculiar/x509";`), /belongs to pki/);
    assert.match(problem("host/lock.ts", `import lodash from "lodash/fp";`), /belongs to no room yet/);
  });

  test("asks for a row for a new room", () => {
    assert.match(problem("utils/strings.ts", `import { x } from "../errors.ts";`), /not in the table/);
  });
});
