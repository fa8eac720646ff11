/** Active swap areas, as the kernel lists them. */

export interface SwapArea {
  readonly name: string;
  readonly priority: number;
}

/** /proc/swaps below its header; spaces in names are written \040. */
export function parseSwapAreas(text: string): readonly SwapArea[] {
  return text.split("\n").slice(1).map((line) => line.trim().split(/\s+/)).filter(([name]) => name !== undefined && name !== "").map((fields) => ({
    name: (fields[0] as string).replaceAll("\\040", " "), priority: Number(fields[4] ?? -1),
  }));
}
