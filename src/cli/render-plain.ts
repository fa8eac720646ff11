/** A run in a log, a pipe or with NO_COLOR: one line for each finished action, nothing that moves. */
import type { RunEvent } from "../engine/types.ts";
import { closingLine, findingLines, isNews } from "./finding-text.ts";
import { painter, type Io } from "./io.ts";
import { RateMeter } from "./progress-bar.ts";
import type { Renderer } from "./render.ts";
import { actionLine, foldEvent, newRunState, type ProgressEvent } from "./run-state.ts";
import { formatBytes, formatCounts, formatElapsed, oneLine } from "./text-format.ts";

const progressMs = 5000;
/** What is waited for is told when it changes, and now and then so that nobody thinks the run has died. */
const reminderMs = 30_000;

export function createPlainRenderer(io: Pick<Io, "stderr" | "clock" | "signal">, title: string): Renderer {
  const state = newRunState(title);
  const meters = new Map<string, RateMeter>();
  const line = (text: string): void => io.stderr.write(`${text}\n`);
  const paint = painter(false);
  let toldProgressAt = io.clock();
  let toldWaiting = "";

  const progress = (event: ProgressEvent): void => {
    const key = `${event.phase} ${event.id}`;
    const meter = meters.get(key) ?? new RateMeter();
    meters.set(key, meter);
    const now = io.clock();
    meter.add(now, event.done);
    const waiting = event.unit === "seconds" ? `${key} ${event.label ?? ""}` : "";
    if (now - toldProgressAt < (waiting !== "" && waiting === toldWaiting ? reminderMs : progressMs)) return;
    toldProgressAt = now;
    toldWaiting = waiting;
    line(`[${event.phase}] ${progressWords(event, meter.rate(now))}`);
  };
  const stopping = (): void => line("Stopping after the action under way. Ctrl-C again stops at once.");
  io.signal.addEventListener("abort", stopping, { once: true });
  line(title);

  return {
    event(event) {
      foldEvent(state, event);
      if (event.type === "progress") return progress(event);
      for (const text of lines(event)) line(text);
    },
    end() {
      io.signal.removeEventListener("abort", stopping);
    },
  };

  function lines(event: Exclude<RunEvent, ProgressEvent>): readonly string[] {
    switch (event.type) {
      case "phase-started":
        toldProgressAt = io.clock();
        return state.dryRun ? [] : [`[${event.phase}] ${oneLine(event.title)}`];
      case "action":
        return event.status === "started" || event.status === "planned" || (state.dryRun && event.status === "unchanged") ? [] : [oneLine(actionLine(event))];
      case "finding":
        return state.dryRun || !isNews(event) ? [] : findingLines(event.finding, event.ignored === true, Number.POSITIVE_INFINITY, paint, `[${event.phase}]`);
      case "phase-finished": {
        const counts = formatCounts(state.flow, event.changed, event.unchanged);
        return state.dryRun || counts === "" ? [] : [`[${event.phase}] ${counts} (${formatElapsed(event.ms)})`];
      }
      case "phase-skipped":
        return state.dryRun ? [] : [`[${event.phase}] skipped: ${oneLine(event.reason)}`];
      case "run-finished":
        return event.ok && !state.dryRun ? [closingLine(title, state.flow, event.changed, event.unchanged, event.ms)] : [];
      case "run-started": case "result":
        return [];
    }
  }
}

function progressWords(event: ProgressEvent, rate: number | undefined): string {
  const label = oneLine(event.label ?? event.id);
  if (event.unit === "seconds") {
    return `${label} (${formatElapsed(event.done * 1000)}${event.total === undefined ? "" : ` of at most ${formatElapsed(event.total * 1000)}`})`;
  }
  const amount = event.total === undefined ? formatBytes(event.done) : `${Math.floor((event.done / Math.max(1, event.total)) * 100)}%, ${formatBytes(event.done)} of ${formatBytes(event.total)}`;
  return `${label}: ${amount}${rate === undefined ? "" : `, ${formatBytes(rate)}/s`}`;
}
