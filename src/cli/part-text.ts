/** A package in parts, for people and scripts. */
import type { PartView } from "../package/part-source.ts";
import { formatBytes } from "./text-format.ts";

/** `path`: null when the part was not found. */
export function partList(parts: PartView): readonly { readonly number: number; readonly path: string | null; readonly size: number | null }[] {
  return parts.files.map(({ number, path, size }) => ({ number, path: path ?? null, size: size ?? null }));
}

export function partsText(parts: PartView | undefined): string {
  if (parts === undefined) return "";
  const lines = parts.files.map(({ number, path, size }) => `  ${number} of ${parts.count}  ${path === undefined ? "not found; its folder can be named with --part" : `${path} (${formatBytes(size ?? 0)})`}`);
  return ["", "Parts", ...lines, ""].join("\n");
}

export function leftOverLines(leftOver: readonly string[]): readonly string[] {
  return leftOver.length === 0 ? [] : [`not of this package, left by an earlier one: ${leftOver.join(", ")}`];
}
