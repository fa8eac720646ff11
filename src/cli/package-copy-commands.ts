/** The commands that write a package in another form: in parts, in one file, or from another version and what is new. Part of the table in `commands.ts`. */
import { command, type Command } from "./command.ts";
import { longOutput, part } from "./flag-tables.ts";

export const packageCopyCommands: readonly Command[] = [
  command({
    path: ["package", "split"],
    summary: "Divide a package into files that FAT32 or smaller sticks take",
    description:
      "Writes FILE as several files of at most --size. The first one is the executable and has the index; start it as ever. It finds the other parts in its own folder, or where --part "
      + "says, in any order and under any name; they are read where they are. A part that is missing, or belongs to another package, is named. \"kubestick pack --split\" writes parts at once.",
    examples: [
      { comment: "For a stick with FAT32, which takes no file of 4 GiB", line: "kubestick package split kubestick-offline --size 4095M -o /media/stick" },
      { comment: "Over two sticks: the second part is moved to the other one", line: "kubestick package split kubestick-offline --size 1G -o ./parts" },
      { comment: "Then on the machine, from the first part", line: "kubestick init --part /media/stick2" },
    ],
    flags: {
      size: { type: "string", placeholder: "SIZE", default: "4095M", description: "Largest file; K, M, G count in 1024, KB, MB, GB in 1000" },
      out: { type: "string", short: "o", placeholder: "DIR", completes: "directory", description: "Folder for the parts; required" },
      part,
      output: longOutput,
    },
    positionals: [{ name: "FILE", description: "Kubestick file; the running executable when left out", optional: true }],
    run: async (flags, positionals, io) => (await import("./package-parts.ts")).splitCommand(flags, positionals, io),
  }),
  command({
    path: ["package", "join"],
    summary: "Put a package that lies in parts together into one file",
    description: "Writes the package as one file, bit for bit what was split, comparing every byte on the way, and prints its SHA-256 as sha256sum does. Nothing needs it: parts are read as they are.",
    examples: [
      { comment: "All parts lie beside the first one", line: "kubestick package join /media/stick/kubestick-offline -o /srv/kubestick-offline" },
      { comment: "They lie on two sticks", line: "kubestick package join /media/stick1/kubestick-offline --part /media/stick2 -o kubestick-offline" },
    ],
    flags: { out: { type: "string", short: "o", placeholder: "FILE", completes: "file", description: "File to write; required" }, part, output: longOutput },
    positionals: [{ name: "FILE", description: "First part; the running executable when left out", optional: true }],
    run: async (flags, positionals, io) => (await import("./package-parts.ts")).joinPartsCommand(flags, positionals, io),
  }),
];
