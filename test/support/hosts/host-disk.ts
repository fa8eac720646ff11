/**
 * The disk of a test host: an ext4 file system in a sparse file, so that it has a size of its own and can lose power.
 *
 * Root is an overlay: the shared read-only base below, this disk above. The folders in which container runtimes stack overlays themselves
 * are plain directories of the disk, bound over, since the kernel refuses an overlay as the upper layer of an overlay.
 */
import { mkdirSync, readFileSync, rmSync, statfsSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { attempt, tool } from "./commands.ts";

const BOUND = ["containerd", "kubelet", "etcd"] as const;
/** EXT4_IOC_SHUTDOWN, _IOR('X', 125, __u32), and its flag NOLOGFLUSH (linux/include/uapi/linux/ext4.h). */
const SHUTDOWN = ["0x8004587d", "2"] as const;

export class HostDisk {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get root(): string {
    return join(this.#folder, "root");
  }

  get #data(): string {
    return join(this.#folder, "disk");
  }

  /** `--bind` arguments of systemd-nspawn. */
  get binds(): readonly string[] {
    return BOUND.map((name) => `--bind=${join(this.#data, name)}:/var/lib/${name}`);
  }

  /** What the host wrote into its root file system, as the overlay keeps it. */
  get written(): string {
    return join(this.#data, "upper");
  }

  /** Bytes in use on the whole disk. */
  used(): number {
    const { blocks, bfree, bsize } = statfsSync(this.#data);
    return (blocks - bfree) * bsize;
  }

  create(bytes: number): void {
    for (const path of [this.root, this.#data]) mkdirSync(path, { recursive: true });
    const image = join(this.#folder, "disk.img");
    writeFileSync(image, "");
    truncateSync(image, bytes);
    tool(["mkfs.ext4", "-q", "-F", "-m", "0", image]);
  }

  mount(base: string): void {
    tool(["mount", "-o", "loop", join(this.#folder, "disk.img"), this.#data]);
    for (const path of ["upper", "work", ...BOUND]) mkdirSync(join(this.#data, path), { recursive: true });
    tool(["mount", "-t", "overlay", "overlay", "-o", `lowerdir=${base},upperdir=${this.written},workdir=${join(this.#data, "work")}`, this.root]);
  }

  /** From here on nothing reaches the disk, and what was written but never flushed is lost: what a power cut does to a real one. */
  cutPower(): void {
    const program = 'open(my $d,"<",$ARGV[0]) or die "open: $!"; my $f=pack("L",$ARGV[2]); ioctl($d,oct($ARGV[1]),$f) or die "ioctl: $!"';
    tool(["perl", "-e", program, this.#data, ...SHUTDOWN]);
  }

  unmount(): void {
    const mounted = readFileSync("/proc/self/mountinfo", "utf8").split("\n").map((line) => line.split(" ")[4]);
    for (const path of [this.root, this.#data]) {
      // Lazily as the last resort: a leftover mount must not keep a whole test run from ending.
      if (mounted.includes(path) && !attempt(["umount", path])) tool(["umount", "--lazy", path]);
    }
  }

  remove(): void {
    this.unmount();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
