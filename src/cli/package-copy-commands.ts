/** The commands that write a package in another form: in parts, in one file, as what is new in it, and of that again. Part of the table in `commands.ts`. */
import { command, type Command } from "./command.ts";
import { longOutput, part, signaturePolicy, trustKey } from "./flag-tables.ts";

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
  command({
    path: ["package", "diff"],
    summary: "Write a delta: what a new package has and an old one has not",
    description:
      "Compares the two packages megabyte by megabyte through their hashes, so programs and image layers that stayed the same cost nothing, and writes the rest and the new index to one file. "
      + "Where the old package is, \"kubestick package apply\" makes the new one of both, bit for bit. Of OLD only the index is read: of one in parts the first part is enough.",
    examples: [
      { comment: "On the side with network", line: "kubestick package diff kubestick-1.36.1 kubestick-1.36.2 -o update.delta" },
      { comment: "For a script", line: "kubestick package diff old new -o update.delta --output json" },
    ],
    flags: {
      out: { type: "string", short: "o", placeholder: "FILE", completes: "file", description: "Delta to write; required" },
      part: { ...part, description: "Where more parts of NEW are, when it lies in several files; repeatable" },
      output: longOutput,
    },
    positionals: [{ name: "OLD", description: "Package that is there already" }, { name: "NEW", description: "Package to make of it" }],
    run: async (flags, positionals, io) => (await import("./package-delta.ts")).diffCommand(flags, positionals, io),
  }),
  command({
    path: ["package", "apply"],
    summary: "Make the new package from the old one and a delta",
    description:
      "Writes the package the delta was made from, bit for bit, the executable included: what the delta carries comes from it, the rest from the old package, every megabyte compared with its hash. "
      + "Another base is refused, and the one that is needed is named. The file gets its name only when all of it was read back and is right; -o may be the old package itself. Any user can do it.",
    examples: [
      { comment: "The old package is the file that is running", line: "kubestick package apply update.delta -o kubestick-new" },
      { comment: "Another file", line: "kubestick package apply update.delta --base /srv/kubestick -o /srv/kubestick" },
      { comment: "To a stick with FAT32", line: "kubestick package apply update.delta --base /srv/kubestick --split 4095M -o /media/stick/kubestick" },
    ],
    flags: {
      base: { type: "string", placeholder: "OLD", completes: "file", default: "the running executable", description: "Package the delta was made for" },
      out: { type: "string", short: "o", placeholder: "NEW", completes: "file", description: "File to write; required" },
      part: { ...part, description: "Where more parts of OLD are, when it lies in several files; repeatable" },
      split: { type: "string", placeholder: "SIZE", description: "Largest file: a longer package becomes several, as with pack" },
      "trust-key": trustKey,
      "signature-policy": signaturePolicy,
      output: longOutput,
    },
    positionals: [{ name: "DELTA", description: "File that \"kubestick package diff\" has written" }],
    run: async (flags, positionals, io) => (await import("./package-delta.ts")).applyCommand(flags, positionals, io),
  }),
];
