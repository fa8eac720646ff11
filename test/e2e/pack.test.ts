import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { test } from "node:test";
import { scenario } from "../support/e2e-scenario.ts";
import { executablePath, packingFolders } from "../support/e2e-stick.ts";
import type { TestHost } from "../support/hosts/test-host.ts";

/** What a build may let in unnoticed: who, where, when, in which language, on how many processors, in which order a folder was filled. */
interface Surroundings {
  readonly home: string;
  readonly user: string;
  readonly umask: string;
  readonly processors: string;
  readonly environment: readonly string[];
  /** Last change of everything it reads, as touch(1) takes it. */
  readonly filed: string;
}

scenario("pack", ({ boot, remove }) => {
  test("two machines that have nothing in common make the same file of one lock file", async () => {
    const { folder, downloadHosts } = await packingFolders();
    const packer = await executablePath();
    // For the other processor the sources hold small things in the place of programs: two machines pack them in seconds.
    const carrier = await executablePath("arm64");
    const pack = async (host: TestHost, { home, user, umask, processors, environment, filed }: Surroundings, lock?: string): Promise<{ readonly sum: string; readonly lock: string }> => {
      const [images, downloads, program, out] = [`${home}/images`, `${home}/downloads`, `${home}/bin/kubestick`, `${home}/out`];
      host.put(packer, program);
      host.put(carrier, `${program}-arm64`);
      for (const [source, target] of [[`${folder}/images`, images], [`${folder}/downloads`, downloads]] as const) cpSync(source, host.inside(target), { recursive: true });
      if (lock !== undefined) host.write(`${home}/kubestick.lock`, lock);
      await host.check(["sh", "-c", 'mkdir -p "$4" && find "$1" -exec touch -h -d "$2" {} + && chown -R "$3" "$1"', "sh", home, filed, user, out]);
      const mirrors = downloadHosts.flatMap((name) => ["--download-mirror", `${name}=${downloads}`]);
      const argv = [program, "pack", "--arch", "arm64", "--executable", `${program}-arm64`, "-o", `${out}/file`, "--lock", `${home}/kubestick.lock`, "--images", images, "--compression", "fast", ...mirrors];
      await host.check(["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "env", "-i", `HOME=${home}`, "PATH=/usr/sbin:/usr/bin:/sbin:/bin", ...environment,
        "taskset", "-c", processors, "sh", "-c", 'umask "$1"; shift; exec "$@"', "sh", umask, ...argv], { timeoutMs: 300_000 });
      return { sum: (await host.check(["sha256sum", `${out}/file`])).split(" ")[0] ?? "", lock: host.read(`${home}/kubestick.lock`) };
    };

    const first = await boot({ name: "builder", bare: true });
    const one = await pack(first, { home: "/root/build", user: "0", umask: "022", processors: "0,1", environment: ["TZ=UTC", "LANG=C.UTF-8"], filed: "2026-01-02 03:04:05" });
    remove(first);
    const second = await boot({ name: "elsewhere", bare: true });
    const two = await pack(second, { home: "/srv/some where/else", user: "1234", umask: "077", processors: "0", environment: ["TZ=Pacific/Auckland", "LANG=C"], filed: "2001-09-09 01:46:40" }, one.lock);
    remove(second);

    assert.match(one.sum, /^[0-9a-f]{64}$/);
    assert.equal(two.sum, one.sum);
    assert.equal(two.lock, one.lock, "a lock file that exists is left as it is");
  });
});
