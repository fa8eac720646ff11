/**
 * The command line room: argv to a command, events and results to text or JSON. The only room that prints.
 *
 * Owns: this table of commands, from which help, completion, unknown-word suggestions and parsing come; the renderers.
 * Refuses: deciding anything about a cluster or a machine. A handler turns flags into plain options and calls the room that knows.
 * Start here, then `dispatch.ts`. Handlers are imported when their command runs, so that `version` does not load what `init` needs.
 */
import { clusterCommands, clusterGroups } from "./cluster-commands.ts";
import { initPhaseCommands, initPhaseGroups } from "./init-phase-commands.ts";
import { joinPhaseCommands, joinPhaseGroups } from "./join-phase-commands.ts";
import { resetPhaseCommands, resetPhaseGroups } from "./reset-phase-commands.ts";
import { command, type Command, type CommandGroup } from "./command.ts";
import { imagesCommands } from "./images-commands.ts";
import { packageCopyCommands } from "./package-copy-commands.ts";
import { config, criSocket, featureGates, haFlags, imageRepository, initFlags, joinFlags, kubernetesVersion, longOutput, output, packageFile, packageFrom, packFlags, part, resetFlags, signaturePolicy, ticket, trustKey } from "./flag-tables.ts";

/** Words that only hold commands. */
export const groups: readonly CommandGroup[] = [
  ...initPhaseGroups,
  ...joinPhaseGroups,
  ...resetPhaseGroups,
  { path: ["package"], summary: "Packages: look into them, verify, mend, divide, update, extend and sign them" },
  { path: ["images"], summary: "Images of this node and the packages that own them" },
  { path: ["token"], summary: "Bootstrap tokens" },
  ...clusterGroups,
  { path: ["config"], summary: "Configuration and images of a cluster" },
  { path: ["config", "images"], summary: "Container images a cluster needs" },
  { path: ["config", "print"], summary: "Configuration to start from" },
];

export const commands: readonly Command[] = [
  command({
    path: ["init"],
    summary: "Make this machine the first control plane of a new cluster",
    description:
      "Installs everything a Kubernetes node needs from the package in this file, starts the control plane, the pod network and DNS, and prints the command "
      + "with which further nodes join. No network is needed.\n\n"
      + "Running it again is safe: what is already right stays as it is. After an interruption or a power cut, run the same command again.\n\n"
      + "\"kubestick init phase --help\" lists the phases, each of which can be run alone.",
    examples: [
      { comment: "Install a one-node cluster from the package in this file", line: "kubestick init" },
      { comment: "See every file, unit, image and object first; nothing is changed", line: "kubestick init --dry-run" },
      { comment: "Own address and networks", line: "kubestick init --apiserver-advertise-address 192.0.2.10 --pod-network-cidr 10.100.0.0/16 --service-cidr 10.200.0.0/16" },
      { comment: "With a kubeadm configuration file", line: "kubestick init --config cluster.yaml" },
      { comment: "Also switch swap off, for good, and cure what else is found and safe to cure", line: "kubestick init --fix" },
      { comment: "Write what would exist to a folder, for review", line: "kubestick init --dry-run --out ./plan" },
    ],
    flags: initFlags,
    run: async (flags, _, io) => (await import("./init.ts")).initCommand(flags, io),
  }),
  ...initPhaseCommands,
  command({
    path: ["join"],
    summary: "Make this machine a node of an existing cluster",
    description:
      "Finds the cluster, makes sure that it is the right one, installs everything a node needs from the package in this file, and ends when the node is Ready. "
      + "A ticket from a control plane says all of it in one file; \"kubestick init\" prints a command instead, and \"kubestick token create --print-join-command\" a new one. No network but "
      + "that to the cluster is needed.\n\n"
      + "Nothing is changed before the cluster was found and all checks have passed. Running it again is safe: what is already right stays as it is. After an interruption "
      + "or a power cut, run the same command again.\n\n\"kubestick join phase --help\" lists the phases, each of which can be run alone.",
    examples: [
      { comment: "With a ticket that \"kubestick ticket create\" wrote on a control plane", line: "kubestick join ticket.yaml" },
      { comment: "From the bare executable, with the package of a node on which \"kubestick package serve\" runs", line: "kubestick join ticket.yaml --package-from 192.0.2.10" },
      { comment: "As a worker", line: "kubestick join 192.0.2.10:6443 --token abcdef.0123456789abcdef --discovery-token-ca-cert-hash sha256:1234..." },
      { comment: "See every file, unit and image first; nothing is changed", line: "kubestick join 192.0.2.10:6443 --token TOKEN --discovery-token-ca-cert-hash sha256:1234... --dry-run" },
      { comment: "As one more control plane", line: "kubestick join 192.0.2.10:6443 --token TOKEN --discovery-token-ca-cert-hash sha256:1234... --control-plane --certificate-key KEY" },
      { comment: "With a kubeadm configuration file", line: "kubestick join --config join.yaml" },
    ],
    flags: joinFlags,
    positionals: [{ name: "TICKET|HOST:PORT", description: "Join ticket (a path, or a .yaml file), or address of the API server", optional: true }],
    run: async (flags, positionals, io) => (await import("./join.ts")).joinCommand(flags, positionals, io),
  }),
  ...joinPhaseCommands,
  command({
    path: ["ha", "enable"],
    summary: "Let this node reach all control planes, in a cluster made without --ha",
    description:
      "Makes a running cluster one that survives the loss of any control plane, without a load balancer: a haproxy on every node, under one name. Run it on every control plane, then on "
      + "every worker, then once more on every control plane that had something left to do; in a cluster of one node, once. What cannot be done yet it says, and everything keeps working meanwhile: certificates, kubeconfigs, cluster-info and "
      + "kubeadm-config follow when all control planes are ready, kube-proxy when all nodes are. Nodes that join afterwards need nothing.\n\nA new cluster is made so from the beginning with init --ha.",
    examples: [
      { comment: "On this node", line: "kubestick ha enable" },
      { comment: "See what would change", line: "kubestick ha enable --dry-run" },
      { comment: "Under a name of your own", line: "kubestick ha enable --control-plane-endpoint api.plant.example:7443" },
    ],
    flags: haFlags,
    run: async (flags, _, io) => (await import("./ha.ts")).haEnableCommand(flags, io),
  }),
  command({
    path: ["reset"],
    summary: "Take back what init or join did to this machine",
    description:
      "Stops the node and removes what this program made (files, units, routes, settings) and what the cluster left: pods, mounts, volumes, logs, the data of "
      + "etcd and of the carried containerd, interfaces and packet-filter rules. What was on the machine before stays, and what was changed is put back. The data of "
      + "the cluster on this node is lost.\n\nA control plane leaves etcd first; the last healthy member is refused. No API server has to answer, and no room has to be on the disk. "
      + "It goes on after a failure, tells all of them at the end, and can be run again.\n\nOn a terminal you are asked for the node's name; scripts pass --yes. "
      + "\"kubestick reset phase --help\" lists the phases, each of which can be run alone.",
    examples: [
      { comment: "Ask for the node's name, then remove everything init or join made", line: "kubestick reset" },
      { comment: "In a script, without a question", line: "kubestick reset --yes" },
      { comment: "See what would be removed", line: "kubestick reset --dry-run" },
      { comment: "Keep the data of etcd", line: "kubestick reset --skip-phases remove-etcd-member" },
      { comment: "A node that something else made (kubeadm), by kubeadm's list of paths", line: "kubestick reset --force" },
      { comment: "With a ResetConfiguration", line: "kubestick reset --config reset.yaml" },
    ],
    flags: resetFlags,
    run: async (flags, _, io) => (await import("./reset.ts")).resetCommand(flags, io),
  }),
  ...resetPhaseCommands,
  command({
    path: ["pack"],
    summary: "Collect a Kubernetes into an executable, on a machine with network",
    description:
      "Fetches the node's programs from their release servers and the images from their registries, checks every digest, and writes one executable file that "
      + "carries it all. Copy that file to the machines without network and run init there. Equal inputs give an equal file.",
    examples: [
      { comment: "Pack the newest Kubernetes this executable knows", line: "kubestick pack -o kubestick-offline" },
      { comment: "Add own images, and pin every digest in a lock file", line: "kubestick pack --image registry.example/shop:v2 --lock kubestick.lock -o kubestick-shop" },
      { comment: "In files that a stick with FAT32 takes", line: "kubestick pack --split 4095M -o /media/stick/kubestick-offline" },
      { comment: "Through mirrors", line: "kubestick pack --registry-mirror registry.k8s.io=https://mirror.example/k8s --download-mirror dl.k8s.io=/srv/downloads" },
      { comment: "Signed; what runs from the file takes other packages only if they are signed with the same key", line: "kubestick pack --sign-key release.key --trust-key release.key.pub -o kubestick-offline" },
      { comment: "For arm64 machines, on an amd64 one", line: "kubestick pack --arch arm64 --executable ./kubestick-linux-arm64 -o kubestick-offline-arm64" },
      { comment: "One file for both, which starts on both", line: "kubestick pack --arch amd64,arm64 --executable ./kubestick-linux-arm64 -o kubestick-offline" },
    ],
    flags: packFlags,
    run: async (flags, _, io) => (await import("./pack.ts")).packCommand(flags, io),
  }),
  ...([["inspect"], ["package", "inspect"]] as const).map((path) => command({
    path,
    summary: "Show what a package contains and who signed it",
    description: "Reads the tables of the package: versions, programs, images with digests and platforms, sizes of every part, licences, who signed. Any user can do it, on any machine, for a file of any architecture; nothing of the content is read.",
    examples: [
      { comment: "The package in this file", line: `kubestick ${path.join(" ")}` },
      { comment: "Another file, for a script", line: `kubestick ${path.join(" ")} ./kubestick-offline -o json` },
      { comment: "The bill of materials, for a scanner", line: `kubestick ${path.join(" ")} --sbom cyclonedx > kubestick.cdx.json` },
      { comment: "Only if it is signed with a key one knows", line: `kubestick ${path.join(" ")} /media/stick/kubestick-offline --trust-key release.pub` },
    ],
    flags: {
      sbom: { type: "string", placeholder: "FORMAT", choices: ["spdx", "cyclonedx"], description: "Print the bill of materials instead: SPDX 2.3 or CycloneDX 1.6, in JSON" },
      licenses: { type: "bool", description: "Print the licence of everything in the file instead, and the licence texts" },
      arch: { type: "string", placeholder: "ARCH", description: "Only programs and images for this processor, of a file for several" },
      part, "trust-key": trustKey, "signature-policy": signaturePolicy, output,
    },
    positionals: [{ name: "FILE", description: "Kubestick file; the running executable when left out", optional: true }],
    run: async (flags, positionals, io) => (await import("./package-inspect.ts")).inspectCommand(flags, positionals, io),
  })),
  command({
    path: ["package", "verify"],
    summary: "Check every byte of a package against its digests",
    description: "Reads the whole file once and compares every megabyte of it with its hash in the index. Names each damaged part and the bytes that are wrong.",
    examples: [
      { comment: "After copying, before init", line: "kubestick package verify" },
      { comment: "Another file", line: "kubestick package verify /media/stick/kubestick-offline" },
      { comment: "One in parts, on two sticks", line: "kubestick package verify /media/stick1/kubestick-offline --part /media/stick2" },
      { comment: "And who signed it", line: "kubestick package verify /media/stick/kubestick-offline --trust-key release.pub" },
    ],
    flags: { part, "trust-key": trustKey, "signature-policy": signaturePolicy, output },
    positionals: [{ name: "FILE", description: "Kubestick file; the running executable when left out", optional: true }],
    run: async (flags, positionals, io) => (await import("./package.ts")).verifyCommand(flags, positionals, io),
  }),
  command({
    path: ["package", "repair"],
    summary: "Mend a damaged package from an intact copy",
    description:
      "Compares FILE piece by piece with what the intact copy says it has to be, and writes only the pieces that are wrong or missing, in place. "
      + "Everything is checked before the first byte is written; another package is refused.",
    examples: [
      { comment: "The copy on this machine mends the one on the stick", line: "kubestick package repair /media/kubestick" },
      { comment: "Both named", line: "kubestick package repair stick --from /srv/kubestick" },
    ],
    flags: { from: { type: "string", placeholder: "FILE", completes: "file", description: "Intact copy of the same package; the running executable when left out" }, part: { ...part, description: "Where more parts of FILE are, when it is the first of several; repeatable" }, "trust-key": trustKey, "signature-policy": signaturePolicy, output },
    positionals: [{ name: "FILE", description: "Damaged kubestick file, or one part of it" }],
    run: async (flags, positionals, io) => (await import("./package.ts")).repairCommand(flags, positionals, io),
  }),
  ...packageCopyCommands,
  ...imagesCommands,
  command({
    path: ["package", "keygen"],
    summary: "Make a key with which packages are signed",
    description: "Writes an Ed25519 private key (PEM, PKCS #8; readable by its owner alone) and its public key beside it, with .pub, and prints the fingerprint of the latter. Keys made by openssl serve as well.",
    examples: [
      { comment: "release.key and release.key.pub", line: "kubestick package keygen --out release.key" },
      { comment: "The fingerprint alone, for a script", line: "kubestick package keygen --out release.key -o json" },
    ],
    flags: { out: { type: "string", placeholder: "FILE", completes: "file", default: "kubestick-signing.key", description: "Private key to write; what is there already is never replaced" }, output },
    run: async (flags, _, io) => (await import("./package-sign.ts")).keygenCommand(flags, io),
  }),
  command({
    path: ["package", "sign"],
    summary: "Sign a package that is packed already",
    description: "Compares every byte of FILE with its digest, signs its index with an Ed25519 key, and by the digests in the index every byte of it. The content stays as it is; other signatures stay too. "
      + "The file is replaced in one step when all of it is written and verified.",
    examples: [
      { comment: "In place", line: "kubestick package sign kubestick-offline --sign-key release.key" },
      { comment: "To a new file, with a name for people", line: "kubestick package sign kubestick-offline --sign-key release.key --signer Board --out kubestick-signed" },
    ],
    flags: {
      "sign-key": { type: "string", placeholder: "FILE", completes: "file", description: "Ed25519 private key (PEM, PKCS #8); required" },
      signer: { type: "string", placeholder: "NAME", description: "Name of who signs, for people; the signature covers it" },
      out: { type: "string", placeholder: "FILE", completes: "file", default: "FILE itself", description: "Where the signed file goes" },
      output,
    },
    positionals: [{ name: "FILE", description: "Kubestick file to sign" }],
    run: async (flags, positionals, io) => (await import("./package-sign.ts")).signCommand(flags, positionals, io),
  }),
  command({
    path: ["package", "add"],
    summary: "Add images, manifests and charts to a package, in a new file",
    description:
      "Writes a new kubestick file with everything the base carries and what is added. Neither a network nor a toolchain is needed.\n\n"
      + "Images (archives of docker save or OCI, plain or compressed, and OCI layout folders) are loaded and pinned by init, join and \"kubestick images load\". Kubernetes manifests (.yaml, .yml, .json) "
      + "are applied by init after its own addons; every image they start has to be in the package. Helm charts (.tgz) are carried as they are: \"kubestick package extract\" takes them out again.",
    examples: [
      { comment: "An application and what starts it, into a copy of this file", line: "kubestick package add shop.tar shop.yaml -o kubestick-shop" },
      { comment: "To another file, and refuse what could not start without a network", line: "kubestick package add --from ./kubestick-offline --strict app/*.tar app/*.yaml -o kubestick-app" },
      { comment: "An archive whose image has no name", line: "kubestick package add image.tar --name registry.example/app:1.2 -o kubestick-app" },
    ],
    flags: {
      out: { type: "string", short: "o", placeholder: "FILE", completes: "file", description: "File to write; required" },
      from: { type: "string", placeholder: "FILE", completes: "file", default: "the running executable", description: "Kubestick file to begin with; it is not changed" },
      name: { type: "string", placeholder: "REF", description: "Reference of the image whose archive gives it none" },
      replace: { type: "bool", description: "Let what is added take the place of what has the same name and other content" },
      strict: { type: "bool", description: "Refuse instead of warn, for example when a manifest starts an image that the package does not carry" },
      part,
      "sign-key": packFlags["sign-key"],
      signer: packFlags.signer,
      "trust-key": trustKey,
      "signature-policy": signaturePolicy,
      output: longOutput,
    },
    positionals: [{ name: "IMAGE.tar|OCI-DIR|MANIFEST.yaml|CHART.tgz", description: "What to add; any number of them", repeats: true }],
    run: async (flags, positionals, io) => (await import("./package-add.ts")).packageAddCommand(flags, positionals, io),
  }),
  command({
    path: ["package", "extract"],
    summary: "Take manifests and charts out of a package",
    description: "Writes the documents that \"kubestick package add\" put into the package to a folder: all of them, or those that are named. A file that is there with other content is not touched.",
    examples: [
      { comment: "All of them", line: "kubestick package extract -o ./carried" },
      { comment: "A chart, for helm", line: "kubestick package extract shop-1.2.0.tgz -o . && helm install shop ./shop-1.2.0.tgz" },
    ],
    flags: {
      out: { type: "string", placeholder: "DIR", short: "o", completes: "directory", description: "Folder to write to; required" },
      from: { type: "string", placeholder: "FILE", completes: "file", default: "the running executable", description: "Kubestick file to take them from" },
      part,
      "trust-key": trustKey,
      "signature-policy": signaturePolicy,
      output: longOutput,
    },
    positionals: [{ name: "NAME", description: "Name of a document; all when left out", optional: true, repeats: true }],
    run: async (flags, positionals, io) => (await import("./package-add.ts")).packageExtractCommand(flags, positionals, io),
  }),
  command({
    path: ["token", "generate"],
    summary: "Print a random bootstrap token",
    description: "Prints a token in the form init takes. Nothing is created in a cluster.",
    examples: [
      { comment: "A new token", line: "kubestick token generate" },
      { comment: "Choose the token before installing", line: "kubestick init --token \"$(kubestick token generate)\"" },
    ],
    flags: { output },
    run: async (flags, _, io) => (await import("./token.ts")).generateCommand(flags, io),
  }),
  ...clusterCommands,
  command({
    path: ["config", "images", "list"],
    summary: "Print the images the control plane and its addons need",
    description: "Prints the images that init uses for a Kubernetes version, one in each line, without those of the pod network.",
    examples: [
      { comment: "For the version in the package", line: "kubestick config images list" },
      { comment: "As they are called in an own registry", line: "kubestick config images list --image-repository registry.example/k8s" },
    ],
    flags: { config, "feature-gates": featureGates, "image-repository": imageRepository, "kubernetes-version": kubernetesVersion, package: packageFile, part, output: { ...output, choices: [...output.choices, "yaml"], description: "Form: text, json, jsonl or yaml" } },
    run: async (flags, _, io) => (await import("./config-images.ts")).imagesListCommand(flags, io),
  }),
  command({
    path: ["config", "images", "pull"],
    summary: "Put the images a cluster needs into the container runtime",
    description: "Loads the images from the package into a container runtime that is running already, and asks it afterwards for every one of them. No registry is asked: "
      + "an image the package does not carry is named in the error; \"kubestick pack --image\" adds it. init does the same by itself.",
    examples: [
      { comment: "Before init, to have the longest step done", line: "kubestick config images pull" },
      { comment: "For a configuration file, from another kubestick file", line: "kubestick config images pull --config cluster.yaml --package /media/stick/kubestick-offline" },
      { comment: "From another node on which \"kubestick package serve\" runs", line: "kubestick config images pull --ticket ticket.yaml --package-from 192.0.2.10" },
    ],
    flags: { config, "cri-socket": criSocket, "feature-gates": featureGates, "image-repository": imageRepository, "kubernetes-version": kubernetesVersion, package: packageFile, part, "package-from": packageFrom, ticket, "trust-key": trustKey, "signature-policy": signaturePolicy, output },
    run: async (flags, _, io) => (await import("./config-images-pull.ts")).imagesPullCommand(flags, io),
  }),
  command({
    path: ["config", "print", "init-defaults"],
    summary: "Print a configuration file for init to start from",
    description: "Prints the documents init reads, with the default of every field. Values that have no default are placeholders: change the address, the name and the token.",
    examples: [
      { comment: "Start a configuration file", line: "kubestick config print init-defaults > cluster.yaml" },
      { comment: "With the defaults of the kubelet and of kube-proxy", line: "kubestick config print init-defaults --component-configs KubeletConfiguration,KubeProxyConfiguration" },
    ],
    flags: { "component-configs": { type: "strings", placeholder: "KINDS", description: "Also print these: KubeletConfiguration, KubeProxyConfiguration" } },
    run: async (flags, _, io) => (await import("./config-print.ts")).printInitDefaultsCommand(flags, io),
  }),
  ...(["join", "reset", "upgrade"] as const).map((operation) => command({
    path: ["config", "print", `${operation}-defaults`],
    summary: `Print a configuration file for ${operation} to start from`,
    description: `Prints the document ${operation} reads, with the default of every field.${operation === "join" ? " The endpoint and the token are placeholders: take those of the join command that init printed." : ""}`,
    examples: [
      { comment: "Look at the defaults", line: `kubestick config print ${operation}-defaults` },
      { comment: "Start a configuration file", line: `kubestick config print ${operation}-defaults > ${operation}.yaml` },
    ],
    flags: {},
    run: async (_flags, _, io) => (await import("./config-print.ts")).printDefaultsCommand(operation, io),
  })),
  command({
    path: ["config", "validate"],
    summary: "Check a configuration file",
    description: "Reads every document in the file and reports everything that is wrong at once, each with line, column and the nearest valid name. Prints ok when nothing is. No machine is looked at.",
    examples: [
      { comment: "Before carrying the file to the machines", line: "kubestick config validate --config cluster.yaml" },
      { comment: "Without the hint that v1beta3 is deprecated", line: "kubestick config validate --config old.yaml --allow-deprecated-api" },
    ],
    flags: {
      config,
      "allow-deprecated-api": { type: "bool", description: "Do not warn about kubeadm.k8s.io/v1beta3" },
      "allow-experimental-api": { type: "bool", description: "Taken as kubeadm takes it; no version read here is experimental" },
    },
    run: async (flags, _, io) => (await import("./config-validate.ts")).validateCommand(flags, io),
  }),
  command({
    path: ["config", "migrate"],
    summary: "Write an old configuration file in the present version, with every default",
    description: "Reads kubeadm.k8s.io/v1beta3 or v1beta4 and writes v1beta4 with all defaults. What the file leaves open (name, address, runtime, token) is filled in from this machine.",
    examples: [
      { comment: "Look at the result", line: "kubestick config migrate --old-config old.yaml" },
      { comment: "Write it to a file", line: "kubestick config migrate --old-config old.yaml --new-config cluster.yaml" },
    ],
    flags: {
      "old-config": { type: "string", placeholder: "FILE", completes: "file", description: "File to read; required" },
      "new-config": { type: "string", placeholder: "FILE", completes: "file", default: "standard output", description: "File to write" },
      "allow-experimental-api": { type: "bool", description: "Taken as kubeadm takes it; no version read here is experimental" },
    },
    run: async (flags, _, io) => (await import("./config-migrate.ts")).migrateCommand(flags, io),
  }),
  command({
    path: ["version"],
    summary: "Print the version of this program and of the Kubernetes it carries",
    description: "Prints the version of kubestick and, when the file carries a package, its Kubernetes version.",
    examples: [
      { comment: "For people", line: "kubestick version" },
      { comment: "Only the number", line: "kubestick version -o short" },
      { comment: "For scripts", line: "kubestick version -o json" },
    ],
    flags: { output: { type: "string", short: "o", placeholder: "FORMAT", default: "text", choices: ["text", "short", "json", "jsonl", "yaml"], description: "Form: text, short, json, jsonl or yaml" } },
    run: async (flags, _, io) => (await import("./version.ts")).versionCommand(flags, io),
  }),
  command({
    path: ["completion"],
    summary: "Print a completion script for bash or zsh",
    description: "Prints a script that completes commands, flags and their values. It needs nothing installed.",
    examples: [
      { comment: "In this bash session", line: "source <(kubestick completion bash)" },
      { comment: "For every bash session", line: "kubestick completion bash > /etc/bash_completion.d/kubestick" },
      { comment: "In this zsh session", line: "source <(kubestick completion zsh)" },
    ],
    flags: {},
    positionals: [{ name: "SHELL", description: "bash or zsh", choices: ["bash", "zsh"] }],
    run: async (_, positionals, io) => (await import("./completion.ts")).completionCommand(positionals, io),
  }),
  command({
    path: ["help"],
    summary: "Explain a command",
    description: "Shows what a command does, its flags and examples. The same as --help behind the command.",
    examples: [
      { comment: "All commands", line: "kubestick help" },
      { comment: "One of them", line: "kubestick help config images list" },
    ],
    flags: {},
    positionals: [{ name: "COMMAND", description: "Words of a command", optional: true }],
    run: async (_, positionals, io) => (await import("./dispatch.ts")).helpCommand(positionals, io),
  }),
];
