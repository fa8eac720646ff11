import assert from "node:assert/strict";
import { test } from "node:test";
import { commandName } from "../../src/cli/command.ts";
import { commands, groups } from "../../src/cli/commands.ts";
import { readInvocation, requestedFormat, runInvocation } from "../../src/cli/dispatch.ts";
import { initFlags } from "../../src/cli/flag-tables.ts";
import { commandHelp, groupHelp } from "../../src/cli/help.ts";
import { displayWidth } from "../../src/cli/text-format.ts";
import { isKubestickError, type KubestickError } from "../../src/errors.ts";
import { testIo, TextSink } from "./screen.ts";

function failure(...argv: readonly string[]): KubestickError {
  try {
    readInvocation(argv);
  } catch (error) {
    assert.ok(isKubestickError(error), String(error));
    return error;
  }
  assert.fail(`${argv.join(" ")} was accepted`);
}

for (const entry of commands) {
  const name = commandName(entry.path);

  test(`${name} --help shows summary, usage, examples and every flag`, () => {
    const invocation = readInvocation([...entry.path, "--help"]);
    assert.equal(invocation.kind, "help");
    const text = commandHelp(entry);
    for (const flag of Object.keys(entry.flags)) assert.ok(text.includes(`--${flag}`), `--${flag} is not in the help`);
    assert.ok(text.includes(`Usage:\n  ${name}`));
    assert.ok(entry.examples.length >= 2);
    for (const { line } of entry.examples) assert.ok(text.includes(`  ${line}\n`));
    assert.ok(entry.description.length > entry.summary.length / 2 && entry.description.endsWith("."));
  });

  test(`${name} has examples that its own parser takes`, () => {
    for (const { line } of entry.examples) {
      const words = /kubestick (.*?)(?:\)?$| > .*|\))/.exec(line)?.[1]?.split(" ") ?? [];
      const plain = words.map((word) => word.replaceAll("\"", "")).filter((word) => !word.startsWith("$("));
      const argv = line.includes("$(kubestick") ? ["init", "--token", "abcdef.0123456789abcdef"] : plain;
      const invocation = readInvocation(argv);
      assert.ok(invocation.kind === "command" || entry.path[0] === "help", line);
    }
  });

  test(`${name} --help fits 60, 80 and 200 columns`, () => {
    for (const width of [60, 80, 200]) {
      for (const line of commandHelp(entry, width).split("\n")) {
        // Usage, examples and names are kept whole, so that they can be copied.
        if (/^ {2,6}(?:kubestick|-|source)/.test(line)) continue;
        assert.ok(displayWidth(line) <= width, `${width}: ${line}`);
      }
    }
  });
}

test("help of the program lists every command once and the way through", () => {
  const text = groupHelp(undefined);
  for (const word of new Set(commands.map(({ path }) => path[0] as string))) assert.equal(text.match(new RegExp(`^  ${word} {2,}`, "gm"))?.length, 1, word);
  assert.match(text, /pack[^]*init/);
});

test("every group has commands and a summary, every multi-word command has its groups", () => {
  for (const group of groups) assert.ok(commands.some(({ path }) => path.length > group.path.length && group.path.every((word, i) => path[i] === word)));
  for (const { path } of commands) {
    for (let length = 1; length < path.length; length++) {
      // `init` is both: a command, and the word before `init phase`.
      assert.ok([...groups, ...commands].some((word) => word.path.join(" ") === path.slice(0, length).join(" ")), path.join(" "));
    }
  }
});

test("init has every flag of kubeadm init", () => {
  const kubeadm = [
    "apiserver-advertise-address", "apiserver-bind-port", "apiserver-cert-extra-sans", "cert-dir", "certificate-key", "config", "control-plane-endpoint",
    "cri-socket", "dry-run", "feature-gates", "ignore-preflight-errors", "image-repository", "kubernetes-version", "node-name", "patches", "pod-network-cidr",
    "service-cidr", "service-dns-domain", "skip-certificate-key-print", "skip-phases", "skip-token-print", "token", "token-ttl", "upload-certs",
  ];
  assert.deepEqual(kubeadm.filter((name) => !Object.hasOwn(initFlags, name)), []);
});

test("readInvocation names the nearest command for an unknown word", () => {
  assert.match(failure("intt").happened, /no command "intt"\. Did you mean "kubestick init"\?/);
  assert.match(failure("config", "image").happened, /no command "config image"\. Did you mean "kubestick config images"\?/);
  assert.doesNotMatch(failure("xyzzy").happened, /Did you mean/);
});

test("readInvocation refuses a word that only holds commands, after showing its help", async () => {
  const stdout = new TextSink();
  await assert.rejects(runInvocation(readInvocation(["config"]), testIo({ stdout })), { code: "CLI_MISSING_COMMAND" });
  assert.match(stdout.text, /Commands:\n {2}images/);
});

test("readInvocation shows help without an error when nothing or help is asked for", async () => {
  for (const argv of [[], ["--help"], ["-h"], ["config", "--help"], ["help"], ["help", "config", "images"], ["init", "-h"]]) {
    const stdout = new TextSink();
    await runInvocation(readInvocation(argv), testIo({ stdout }));
    assert.match(stdout.text, /Usage:/, argv.join(" "));
  }
});

test("readInvocation takes the flags of every command also before the command", () => {
  const invocation = readInvocation(["-v", "5", "--no-color", "version", "-o", "short"]);
  assert.equal(invocation.kind, "command");
  assert.ok(invocation.kind === "command" && invocation.verbosity === 5 && invocation.noColor);
});

test("readInvocation refuses arguments a command does not take", () => {
  assert.match(failure("init", "extra").happened, /"extra" is one argument too many/);
  assert.match(failure("init", "--dry-run", "false").happened, /--flag=false/);
  assert.match(failure("completion").happened, /SHELL is missing/);
  assert.match(failure("completion", "fish").happened, /must be bash or zsh/);
});

test("help refuses a word that is no command", async () => {
  await assert.rejects(runInvocation(readInvocation(["help", "innit"]), testIo()), { code: "CLI_UNKNOWN_COMMAND", happened: "There is no command \"innit\". Did you mean \"kubestick init\"?" });
});

test("readInvocation lets --config stand only with the flags kubeadm allows", () => {
  const error = failure("init", "--config", "c.yaml", "--pod-network-cidr", "10.0.0.0/16", "--token", "x");
  assert.equal(error.code, "CLI_MIXED_CONFIG");
  assert.equal(error.happened, "can not mix '--config' with arguments [pod-network-cidr token]");
  const allowed = ["--dry-run", "--node-name=a", "--skip-phases=addon", "--ignore-preflight-errors=all", "--upload-certs", "--skip-token-print", "-v=3", "-o", "json", "--no-color"];
  assert.equal(readInvocation(["init", "--config=c.yaml", ...allowed]).kind, "command");
  assert.equal(readInvocation(["config", "images", "list", "--config=c.yaml", "--image-repository=x"]).kind, "command");
});

test("requestedFormat reads the form also from an argv with mistakes", () => {
  assert.equal(requestedFormat(["init", "--bogus", "-o", "json"]), "json");
  assert.equal(requestedFormat(["init", "--output=jsonl"]), "jsonl");
  assert.equal(requestedFormat(["init", "-ojson"]), "json");
  assert.equal(requestedFormat(["pack", "-o", "file"]), "text");
  assert.equal(requestedFormat(["init", "--", "-o", "json"]), "text");
});
