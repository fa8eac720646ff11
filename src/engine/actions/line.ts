/** One line in a file that belongs to somebody else, such as /etc/hosts: all other lines stay, at any time, whoever changes them meanwhile. */
import { KubestickError } from "../../errors.ts";
import type { ActionContext } from "../context.ts";
import type { LineAction } from "../types.ts";
import { text } from "./found-path.ts";
import { modeText, type Handler, type Observation } from "./handler.ts";

export const line: Handler<LineAction> = {
  slow: false,
  journaled: true,
  observe,
  verify: observe,

  async record({ path, line: wanted }, { host }) {
    const content = await host.readText(path);
    return { path, line: wanted, was: (await host.stat(path)) === undefined ? "absent" : "file", ...(isUnended(content) ? { unended: true } : {}) };
  },

  async apply({ path, line: wanted }, { host }) {
    const found = await host.stat(path);
    if (found !== undefined && found.type !== "file") throw notAFile(path, found.type, wanted);
    const before = (await host.readText(path)) ?? "";
    const content = `${before}${isUnended(before) ? "\n" : ""}${wanted}\n`;
    await host.writeFile(path, content, found === undefined ? { mode: 0o644 } : { mode: found.mode, uid: found.uid, gid: found.gid });
    return found === undefined ? { what: "created", detail: `created ${modeText(0o644)} with the line "${wanted}"` } : { what: "changed", detail: `added the line "${wanted}"` };
  },

  async undo(entry, { host }) {
    const undo = entry.undo ?? {};
    const [path, ours] = [text(undo, "path", entry), text(undo, "line", entry)];
    const content = await host.readText(path);
    const found = await host.stat(path);
    if (content === undefined || found === undefined || !linesOf(content).includes(ours)) return { status: "removed", detail: "its line is gone already" };
    const kept = linesOf(content).filter((each) => each !== ours).join("\n");
    // Whoever wrote something after our line relies on the end that it gave the line before.
    const rest = undo["unended"] === true && content.endsWith(`\n${ours}\n`) ? kept.slice(0, -1) : kept;
    if (undo["was"] === "absent" && rest.trim() === "") {
      await host.remove(path);
      return { status: "removed", detail: "removed" };
    }
    await host.writeFile(path, rest, { mode: found.mode, uid: found.uid, gid: found.gid });
    return { status: "removed", detail: `took out the line "${ours}"` };
  },
};

async function observe({ path, line: wanted }: LineAction, { host }: ActionContext): Promise<Observation> {
  const content = await host.readText(path);
  if (content !== undefined && linesOf(content).includes(wanted)) return { state: "same" };
  return { state: "differs", detail: `gets the line "${wanted}"`, body: `+${wanted}\n`, ...(content === undefined ? { absent: true as const } : {}) };
}

function linesOf(content: string): readonly string[] {
  return content.split("\n");
}

/** Its last line has no line break at its end. */
function isUnended(content: string | undefined): boolean {
  return content !== undefined && content !== "" && !content.endsWith("\n");
}

function notAFile(path: string, type: string, wanted: string): KubestickError {
  return new KubestickError({ code: "PATH_NOT_FILE", attempted: `adding a line to ${path}`, happened: `It is a ${type}, which something else keeps.`, next: `Bring it about there that ${path} has this line, then run the same command again: ${wanted}` });
}
