/** Counts every change that an in-memory machine, runtime or cluster sees, and can end the "process" between any two of them. */

/** What a killed process experiences, as far as a test can see: nothing works any more, so nothing can be tidied up either. */
export class SimulatedCrash extends Error {
  constructor(after: string) {
    super(`the process was killed ${after}`);
    this.name = "SimulatedCrash";
  }
}

export class WriteLedger {
  /** One line per change, in order. */
  readonly writes: string[] = [];
  #left = Number.POSITIVE_INFINITY;
  #crashed = false;

  /** The next `n` changes happen; the one after them never does, and everything after that fails. */
  crashAfter(n: number): void {
    this.#left = n;
  }

  crashNow(): void {
    this.#crashed = true;
  }

  get crashed(): boolean {
    return this.#crashed;
  }

  /** A new process on the same machine. */
  revive(): void {
    this.#crashed = false;
    this.#left = Number.POSITIVE_INFINITY;
  }

  /** Before a read. */
  alive(): void {
    if (this.#crashed) throw new SimulatedCrash("earlier");
  }

  /** Before a change takes effect. */
  write(what: string): void {
    this.alive();
    if (this.#left <= 0) {
      this.#crashed = true;
      throw new SimulatedCrash(`before: ${what}`);
    }
    this.#left -= 1;
    this.writes.push(what);
  }
}
