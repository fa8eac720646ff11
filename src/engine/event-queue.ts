/** Lets work that reports through a callback be consumed as an async generator: what a long action tells while it runs. */

export async function* withEvents<Event, Result>(work: (emit: (event: Event) => void) => Promise<Result>): AsyncGenerator<Event, Result> {
  const queue: Event[] = [];
  let wake = (): void => undefined;
  let ended = false;
  const result = work((event) => {
    queue.push(event);
    wake();
  }).finally(() => {
    ended = true;
    wake();
  });
  // Observed at the end below; without this a rejection in between would count as unhandled.
  result.catch(() => undefined);
  try {
    for (;;) {
      while (queue.length > 0) yield queue.shift() as Event;
      if (ended) return await result;
      await new Promise<void>((resolve) => { wake = resolve; });
    }
  } finally {
    // A consumer that leaves early must not leave work behind that still changes the machine.
    await result.catch(() => undefined);
  }
}
