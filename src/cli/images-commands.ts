/** The commands below `images`, as data. */
import { command, type Command } from "./command.ts";
import { criSocket, dryRun, output, part, signaturePolicy, trustKey } from "./flag-tables.ts";

export const imagesCommands: readonly Command[] = [
  command({
    path: ["images", "load"],
    summary: "Load the images of a package into the container runtime of this node",
    description: "Streams every image the package carries into the running container runtime and pins it there, under its tag and its digest; what is there already is not read. Nothing else on the node is changed. "
      + "The package owns its images from then on: see \"kubestick images status\" and \"kubestick images prune\".",
    examples: [
      { comment: "The images of this file, for example after \"kubestick package add\"", line: "kubestick images load" },
      { comment: "Those of another file", line: "kubestick images load --from /media/stick/kubestick-shop" },
      { comment: "See which are missing", line: "kubestick images load --dry-run" },
    ],
    flags: {
      from: { type: "string", placeholder: "FILE", completes: "file", default: "the running executable", description: "Kubestick file whose images are loaded" },
      part, "cri-socket": criSocket, "dry-run": dryRun, "trust-key": trustKey, "signature-policy": signaturePolicy, output,
    },
    run: async (flags, _, io) => (await import("./images.ts")).imagesLoadCommand(flags, io),
  }),
  command({
    path: ["images", "list"],
    summary: "List the images of this node, and the packages that own them",
    description: "Asks the container runtime for every image: its digest, the size of its stored blobs, the packages it was loaded from, whether it is pinned, and how many containers and sandboxes were made from it.",
    examples: [
      { comment: "As a table", line: "kubestick images list" },
      { comment: "For scripts, with all names and owners", line: "kubestick images list -o json" },
    ],
    flags: { "cri-socket": criSocket, output },
    run: async (flags, _, io) => (await import("./images.ts")).imagesListCommand(flags, io),
  }),
  command({
    path: ["images", "status"],
    summary: "Sum up the images of this node: pinned, used, orphaned",
    description: "Counts images and the bytes of their stored blobs, and lists the packages whose images were loaded here. An image is orphaned when no package owns it any more.",
    examples: [
      { comment: "For people", line: "kubestick images status" },
      { comment: "For monitoring", line: "kubestick images status -o json" },
    ],
    flags: { "cri-socket": criSocket, output },
    run: async (flags, _, io) => (await import("./images.ts")).imagesStatusCommand(flags, io),
  }),
  command({
    path: ["images", "prune"],
    summary: "Remove images that no package on this node owns any more",
    description: "Shows what would go and asks; then unpins and removes images that this program brought and that no package owns. Images that it only found and pinned lose the pin. Never touched: images of which there is a container, "
      + "those of the static pods, the one sandboxes start from, and what somebody else loaded.\n\n"
      + "A package owns its images until it is released, whatever becomes of its file: --release says that it is not on this node any more.",
    examples: [
      { comment: "See what would go", line: "kubestick images prune --dry-run" },
      { comment: "After an update: the package before is not on this node any more", line: "kubestick images prune --release 3f2a1b4c5d6e" },
      { comment: "In a script", line: "kubestick images prune --yes" },
    ],
    flags: {
      release: { type: "strings", placeholder: "PACKAGE", description: "Packages that are not on this node any more: digest as \"images status\" shows it, or a kubestick file" },
      yes: { type: "bool", short: "y", description: "Do not ask" },
      "cri-socket": criSocket, "dry-run": dryRun, output,
    },
    run: async (flags, _, io) => (await import("./images.ts")).imagesPruneCommand(flags, io),
  }),
];
