/** `kubestick init -o jsonl` on a test host, event by event while it runs: to act at a chosen moment of a run. */
import type { CommandOptions, RunningCommand } from "./hosts/host-command.ts";
import type { TestHost } from "./hosts/test-host.ts";

/** One line of the stream, as far as the tests look. */
export interface RunEvent {
  readonly type: string;
  readonly phase?: string;
  readonly id?: string;
  readonly kind?: string;
  readonly status?: string;
  readonly done?: number;
  readonly total?: number;
  readonly ok?: boolean;
}

export function followEvents(host: TestHost, argv: readonly string[], onEvent: (event: RunEvent) => void, options: CommandOptions = {}): RunningCommand {
  let rest = "";
  return host.start(["./kubestick", "init", "-o", "jsonl", ...argv], {
    ...options,
    onStdout: (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onEvent(JSON.parse(line) as RunEvent);
    },
  });
}
