/** A run on a terminal: finished phases as lasting lines, below them the phases under way with their action and progress bars. */
import type { RunEvent } from "../engine/types.ts";
import { closingLine, findingLines, isNews } from "./finding-text.ts";
import { painter, type Io, type Paint, type TextOutput } from "./io.ts";
import { LiveRegion } from "./live-region.ts";
import { RateMeter, transferLine, type BarGlyphs } from "./progress-bar.ts";
import type { Renderer } from "./render.ts";
import { actionLine, foldEvent, newRunState, type PhaseState, type ProgressEvent, type RunState } from "./run-state.ts";
import { formatCounts, formatElapsed, oneLine, padEnd, truncate, truncateStart, wrap } from "./text-format.ts";

interface Glyphs extends BarGlyphs {
  readonly done: string;
  readonly failed: string;
  readonly skipped: string;
  readonly notice: string;
  readonly spinner: readonly string[];
}

const unicodeGlyphs: Glyphs = {
  done: "✓", failed: "✗", skipped: "-", notice: "!", spinner: [..."⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"], full: "━", empty: "─", ellipsis: "…",
};
const asciiGlyphs: Glyphs = {
  done: "+", failed: "x", skipped: "-", notice: "!", spinner: [..."|/-\\"], full: "#", empty: ".", ellipsis: "...",
};

const frameMs = 100;
const barsShown = 4;

export interface TtyTimers {
  /** Calls back about every `ms` until the returned function is called; must not keep the process alive. */
  every(ms: number, call: () => void): () => void;
}

const realTimers: TtyTimers = {
  every(ms, call) {
    const timer = setInterval(call, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};

export function createTtyRenderer(io: Pick<Io, "stderr" | "clock" | "unicode" | "verbosity" | "signal" | "onExit">, title: string, timers = realTimers): Renderer {
  return new TtyRenderer(io, title, timers);
}

class TtyRenderer implements Renderer {
  readonly #out: TextOutput;
  readonly #io: Pick<Io, "clock" | "unicode" | "verbosity" | "signal">;
  readonly #region: LiveRegion;
  readonly #state: RunState;
  readonly #paint: Paint = painter(true);
  readonly #glyphs: Glyphs;
  readonly #startedAt = new Map<string, number>();
  readonly #transfers = new Map<string, { readonly event: ProgressEvent; readonly meter: RateMeter }>();
  readonly #stop: () => void;
  readonly #forget: () => void;
  readonly #begin: number;
  readonly #title: string;
  #lasting: string[] = [];
  #drawnAt = Number.NEGATIVE_INFINITY;
  #step = 0;
  #ended = false;

  constructor(io: Pick<Io, "stderr" | "clock" | "unicode" | "verbosity" | "signal" | "onExit">, title: string, timers: TtyTimers) {
    this.#io = io;
    this.#out = io.stderr;
    this.#region = new LiveRegion(io.stderr);
    this.#glyphs = io.unicode ? unicodeGlyphs : asciiGlyphs;
    this.#title = title;
    this.#state = newRunState(title);
    this.#begin = io.clock();
    this.#forget = io.onExit(() => this.#region.close());
    this.#stop = timers.every(frameMs, () => {
      this.#step++;
      this.#draw();
    });
    this.#draw();
  }

  event(event: RunEvent): void {
    foldEvent(this.#state, event);
    const phase = "phase" in event ? this.#state.phases.get(event.phase) : undefined;
    switch (event.type) {
      case "phase-started":
        this.#startedAt.set(event.phase, this.#io.clock());
        break;
      case "action":
        if (event.status !== "started") this.#transfers.delete(`${event.phase} ${event.id}`);
        if (event.status === "failed") this.#last(this.#paint("red", `  ${this.#glyphs.failed} ${oneLine(actionLine(event))}`));
        else if (event.status === "kept") this.#last(...wrap(oneLine(actionLine(event)), this.#width(), "  ").split("\n").map((line) => this.#paint("dim", line)));
        else if (this.#io.verbosity >= 2 && event.status !== "started") this.#last(this.#paint("dim", truncate(`  ${oneLine(actionLine(event))}`, this.#width(), this.#glyphs.ellipsis)));
        break;
      case "progress": {
        const key = `${event.phase} ${event.id}`;
        const meter = this.#transfers.get(key)?.meter ?? new RateMeter();
        meter.add(this.#io.clock(), event.done);
        this.#transfers.set(key, { event, meter });
        break;
      }
      case "finding":
        // The plan of a dry run tells them in their place.
        if (isNews(event) && !this.#state.dryRun) this.#last(...findingLines(event.finding, event.ignored === true, this.#width(), this.#paint, this.#glyphs.notice));
        break;
      case "phase-finished":
        for (const key of this.#transfers.keys()) if (key.startsWith(`${event.phase} `)) this.#transfers.delete(key);
        // In a dry run the plan itself is the news; a line for each phase would push it off the screen.
        if (phase !== undefined && !this.#state.dryRun) this.#last(this.#finishedLine(phase));
        break;
      case "phase-skipped":
        if (phase !== undefined && !this.#state.dryRun) this.#last(this.#paint("dim", truncate(`${this.#glyphs.skipped} ${padEnd(phase.id, this.#idWidth())}  skipped: ${oneLine(event.reason)}`, this.#width(), this.#glyphs.ellipsis)));
        break;
      case "run-started": case "result": case "run-finished":
        break;
    }
    if (this.#lasting.length > 0 || this.#io.clock() - this.#drawnAt >= frameMs) this.#draw();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stop();
    for (const phase of this.#state.phases.values()) {
      // One that failed and finished (a reset goes on) has its line already.
      if (phase.ms === undefined && (phase.status === "failed" || phase.status === "active")) this.#last(this.#failedLine(phase));
    }
    const { finished, dryRun } = this.#state;
    if (finished?.ok === true && !dryRun) this.#last(closingLine(this.#title, this.#state.flow, finished.changed, finished.unchanged, finished.ms));
    this.#region.draw([], this.#lasting);
    this.#region.close();
    this.#forget();
  }

  #last(...lines: readonly string[]): void {
    this.#lasting.push(...lines);
  }

  #draw(): void {
    if (this.#ended) return;
    this.#region.draw(this.#frame(), this.#lasting);
    this.#lasting = [];
    this.#drawnAt = this.#io.clock();
  }

  #frame(): readonly string[] {
    const lines: string[] = [];
    const width = this.#width();
    const spin = this.#paint("cyan", this.#glyphs.spinner[this.#step % this.#glyphs.spinner.length] as string);
    const active = [...this.#state.phases.values()].filter(({ status }) => status === "active");
    if (active.length === 0) lines.push(`${spin} ${truncate(this.#title, width - 12, this.#glyphs.ellipsis)} ${formatElapsed(this.#io.clock() - this.#begin)}`);
    for (const phase of active) {
      const elapsed = formatElapsed(this.#io.clock() - (this.#startedAt.get(phase.id) ?? this.#begin));
      lines.push(`${spin} ${this.#row(phase, `${this.#place(phase)}  ${elapsed.padStart(6)}`)}`);
      const transfers = [...this.#transfers].filter(([key]) => key.startsWith(`${phase.id} `)).slice(-barsShown);
      for (const [, { event, meter }] of transfers) lines.push(...this.#progressLines(event, meter, width - 4).map((line) => this.#paint("dim", `    ${line}`)));
      if (transfers.length === 0 && phase.current !== undefined) lines.push(this.#paint("dim", `    ${truncateStart(oneLine(phase.current), width - 4, this.#glyphs.ellipsis)}`));
    }
    if (this.#io.signal.aborted) lines.push(this.#paint("yellow", truncate("Stopping after the action under way. Ctrl-C again stops at once.", width, this.#glyphs.ellipsis)));
    return lines;
  }

  #progressLines(event: ProgressEvent, meter: RateMeter, width: number): readonly string[] {
    const label = oneLine(event.label ?? event.id);
    if (event.unit === "bytes") return [transferLine({ label, done: event.done, total: event.total, rate: meter.rate(this.#io.clock()) }, width, this.#glyphs)];
    const time = event.total === undefined ? formatElapsed(event.done * 1000) : `${formatElapsed(event.done * 1000)} of at most ${formatElapsed(event.total * 1000)}`;
    // What is waited for is a sentence, often with its reason at the end: two lines before it is cut.
    const [first = "", ...rest] = wrap(`${label} (${time})`, width).split("\n");
    return rest.length === 0 ? [first] : [first, truncate(rest.join(" "), width, this.#glyphs.ellipsis)].map((line) => truncate(line, width, this.#glyphs.ellipsis));
  }

  #finishedLine(phase: PhaseState): string {
    const mark = phase.status === "failed" ? this.#paint("red", this.#glyphs.failed) : this.#paint("green", this.#glyphs.done);
    return `${mark} ${this.#row(phase, `${formatCounts(this.#state.flow, phase.changed, phase.unchanged)}  ${formatElapsed(phase.ms ?? 0).padStart(6)}`)}`;
  }

  #failedLine(phase: PhaseState): string {
    const elapsed = formatElapsed(phase.ms ?? this.#io.clock() - (this.#startedAt.get(phase.id) ?? this.#begin));
    return `${this.#paint("red", this.#glyphs.failed)} ${this.#row(phase, `${formatCounts(this.#state.flow, phase.changed, phase.unchanged)}  ${elapsed.padStart(6)}`)}`;
  }

  /** Name, title, and at the right edge the numbers. The title gives way first. */
  #row(phase: PhaseState, right: string): string {
    const room = this.#width() - 2;
    const id = padEnd(phase.id, this.#idWidth());
    const titleRoom = room - this.#idWidth() - 2 - right.length - 2;
    const left = titleRoom < 10 ? id : `${id}  ${truncate(phase.title, titleRoom, this.#glyphs.ellipsis)}`;
    const fits = truncate(left, Math.max(0, room - right.length - 1), this.#glyphs.ellipsis);
    return `${padEnd(fits, room - right.length)}${this.#paint("dim", right)}`;
  }

  #place(phase: PhaseState): string {
    const ids = [...this.#state.phases.keys()];
    return `${ids.indexOf(phase.id) + 1}/${ids.length}`;
  }

  #idWidth(): number {
    return Math.min(20, Math.max(8, ...[...this.#state.phases.keys()].map((id) => id.length)));
  }

  /** One column stays free: some terminals wrap when the last one is filled. */
  #width(): number {
    return Math.max(20, Math.min(200, this.#out.columns()) - 1);
  }
}
