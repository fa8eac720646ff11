/**
 * The frame of an end-to-end test file: what the machine must have, one test file at a time, a network, the packed stick, and no traces.
 *
 * Start at `scenario`. Where something is missing the whole file is one skipped line that says what.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdirSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { missingAssets, missingForHosts } from "./e2e-requirements.ts";
import { stickPath } from "./e2e-stick.ts";
import { baseImage, cacheFolder } from "./hosts/base-image.ts";
import type { HostOptions, TestHost } from "./hosts/test-host.ts";
import { TestNetwork } from "./hosts/test-network.ts";

export interface Scenario {
  /** The packed executable on the outer machine. */
  readonly stick: string;
  /** A bare machine; with the stick as /root/kubestick unless `bare`. */
  boot(options: HostOptions & { readonly bare?: true }): Promise<TestHost>;
  /** Takes the host away, to make room for the next one. */
  remove(host: TestHost): void;
}

/** Registers a file of end-to-end tests. `body` calls `test`; the scenario's parts may be used inside tests only. */
export function scenario(title: string, body: (scenario: Scenario) => void): void {
  const missing = missingForHosts() ?? missingAssets();
  if (missing !== undefined) return skipped(title, missing);
  describe(title, () => {
    const open = new OpenScenario();
    before(() => open.open());
    after(() => open.close());
    // Bound, because tests take the parts they need out of it.
    body({ get stick() { return open.stick; }, boot: (options) => open.boot(options), remove: (host) => open.remove(host) });
  });
}

/** One line, counted as skipped; a skipped suite is not. */
export function skipped(title: string, missing: string): void {
  test(title, { skip: `end-to-end: ${missing}` }, () => undefined);
}

class OpenScenario implements Scenario {
  stick = "";
  #network: TestNetwork | undefined;
  #turn: ChildProcess | undefined;

  async open(): Promise<void> {
    this.#turn = await takeTurn();
    baseImage();
    this.stick = await stickPath();
    this.#network = TestNetwork.create();
  }

  async boot(options: HostOptions & { readonly bare?: true }): Promise<TestHost> {
    if (this.#network === undefined) throw new Error("hosts can be booted inside tests only");
    const host = await this.#network.boot(options);
    if (options.bare !== true) host.put(this.stick, "/root/kubestick");
    return host;
  }

  remove(host: TestHost): void {
    this.#network?.remove(host);
  }

  close(): void {
    this.#network?.destroy();
    this.#turn?.stdin?.end();
  }
}

/**
 * One test file at a time on this machine, whatever the test runner's concurrency is: control planes on two cores would only make each other
 * slow. The lock belongs to a child that lives as long as its standard input, so it is free again however this process ends.
 */
async function takeTurn(): Promise<ChildProcess> {
  mkdirSync(cacheFolder(), { recursive: true });
  const child = spawn("flock", [join(cacheFolder(), "lock"), "sh", "-c", "echo mine; exec cat >/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`flock ended with ${code}`)));
    child.stdout.once("data", () => resolve());
  });
  child.stdout.destroy();
  child.unref();
  (child.stdin as Socket).unref();
  return child;
}
