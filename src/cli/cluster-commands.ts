/** The part of the command table that changes a cluster from wherever its kubeconfig is: tokens and tickets. */
import { command, type Command, type CommandGroup } from "./command.ts";
import { config, dryRun, kubeconfig, output, part } from "./flag-tables.ts";

export const clusterGroups: readonly CommandGroup[] = [
  { path: ["ha"], summary: "High availability: every node's way to all control planes" },
  { path: ["ticket"], summary: "Join tickets: all that a new node needs in one file for the stick" },
  { path: ["kubeconfig"], summary: "Kubeconfigs for people and programs" },
];

export const clusterCommands: readonly Command[] = [
  command({
    path: ["token", "create"],
    summary: "Create a bootstrap token in the cluster",
    description: "Creates a token with which nodes join, and prints it. With --print-join-command the whole command for the new node is printed instead.",
    examples: [
      { comment: "The command for the next node", line: "kubestick token create --print-join-command" },
      { comment: "For one hour", line: "kubestick token create --ttl 1h --description \"rack 7\"" },
      { comment: "For a control plane, with the key that upload-certs printed", line: "kubestick token create --print-join-command --certificate-key \"$KEY\"" },
      { comment: "See what would be created", line: "kubestick token create --dry-run" },
    ],
    flags: {
      "certificate-key": { type: "string", placeholder: "KEY", description: "With --print-join-command: print the command for a control plane, with this key" },
      config,
      description: { type: "string", placeholder: "TEXT", description: "What the token is for" },
      "dry-run": dryRun,
      groups: { type: "strings", placeholder: "GROUPS", default: "system:bootstrappers:kubeadm:default-node-token", description: "Groups of whoever shows the token" },
      kubeconfig,
      "print-join-command": { type: "bool", withConfig: true, description: "Print the whole command for the new node instead of the token" },
      ttl: { type: "duration", placeholder: "DURATION", default: "24h0m0s", description: "Time until the token expires; 0 = never" },
      usages: { type: "strings", placeholder: "USAGES", default: "signing,authentication", description: "What the token may be used for: signing, authentication" },
      output,
    },
    positionals: [{ name: "TOKEN", description: "Token to create; generated when left out", optional: true }],
    run: async (flags, positionals, io) => (await import("./token-cluster.ts")).tokenCreateCommand(flags, positionals, io),
  }),
  command({
    path: ["token", "list"],
    summary: "List the bootstrap tokens of the cluster",
    description: "Lists every token with the time it has left. The list contains the tokens themselves: who reads it can join the cluster.",
    examples: [
      { comment: "As a table", line: "kubestick token list" },
      { comment: "For a script", line: "kubestick token list -o json" },
    ],
    flags: { kubeconfig, output: { ...output, choices: [...output.choices, "yaml"], description: "Form: text, json, jsonl or yaml" } },
    run: async (flags, _, io) => (await import("./token-cluster.ts")).tokenListCommand(flags, io),
  }),
  command({
    path: ["token", "delete"],
    summary: "Delete bootstrap tokens from the cluster",
    description: "Deletes tokens, which are named whole or by their id (the part before the dot). Nodes that joined with them stay.",
    examples: [
      { comment: "By its id", line: "kubestick token delete abcdef" },
      { comment: "Several at once", line: "kubestick token delete abcdef k7xq2m" },
    ],
    flags: { "dry-run": dryRun, kubeconfig, output, part },
    positionals: [{ name: "TOKEN", description: "Token or its id", repeats: true }],
    run: async (flags, positionals, io) => (await import("./token-cluster.ts")).tokenDeleteCommand(flags, positionals, io),
  }),
  command({
    path: ["ticket", "create"],
    summary: "Write a join ticket for new nodes",
    description:
      "Writes one small file with the addresses of the cluster's API servers, the pin of its CA and a new token, for carrying to new nodes on the stick. One ticket serves any number of nodes until "
      + "it expires. With --control-plane the certificates that control planes share are uploaded, encrypted with a key that only the ticket has; a control-plane ticket or certificate key made before "
      + "is of no use after that.\n\nThe file holds secrets and can be read by its owner alone. docs/ticket.md explains what is in it.",
    examples: [
      { comment: "For workers, for a day", line: "kubestick ticket create --out /media/stick/ticket.yaml" },
      { comment: "For further control planes, on a control plane", line: "kubestick ticket create --control-plane" },
      { comment: "Only for the next half hour", line: "kubestick ticket create --ttl 30m" },
    ],
    flags: {
      "control-plane": { type: "bool", description: "The ticket makes control planes" },
      "dry-run": dryRun,
      kubeconfig,
      out: { type: "string", placeholder: "FILE", completes: "file", default: "ticket-worker.yaml or ticket-control-plane.yaml", description: "File to write" },
      ttl: { type: "duration", placeholder: "DURATION", default: "24h0m0s, for control planes 2h0m0s", description: "Time until the ticket expires" },
      output,
    },
    run: async (flags, _, io) => (await import("./ticket.ts")).ticketCreateCommand(flags, io),
  }),
  command({
    path: ["ticket", "show"],
    summary: "Show what a join ticket says, without its secrets",
    description: "Prints cluster, role, addresses and CA pin of a ticket, and whether it has expired. No machine and no cluster is asked.",
    examples: [
      { comment: "Which ticket is this?", line: "kubestick ticket show /media/stick/ticket.yaml" },
      { comment: "For a script", line: "kubestick ticket show ticket.yaml -o json" },
    ],
    flags: { output },
    positionals: [{ name: "FILE", description: "The ticket" }],
    run: async (flags, positionals, io) => (await import("./ticket.ts")).ticketShowCommand(flags, positionals, io),
  }),
  command({
    path: ["package", "serve"],
    summary: "Lend the package in this file to other nodes for a while",
    description:
      "Runs on a control plane and hands the package to nodes that have only the bare executable. A node has to hold a valid token (a ticket has one), which it proves without sending it; this "
      + "side proves itself with a certificate of the cluster's CA, which the ticket pins. Nothing is served before this command runs and after it ends.",
    examples: [
      { comment: "For an hour, or until Ctrl-C", line: "kubestick package serve" },
      { comment: "Another file, on one address, for ten minutes", line: "kubestick package serve /media/stick/kubestick-offline --listen 192.0.2.10 --for 10m" },
    ],
    flags: {
      "cert-dir": { type: "string", placeholder: "DIR", default: "/etc/kubernetes/pki", completes: "directory", description: "Where ca.crt and ca.key of the cluster are" },
      for: { type: "duration", placeholder: "DURATION", default: "1h0m0s", description: "Time after which it ends by itself" },
      kubeconfig,
      listen: { type: "string", placeholder: "[ADDRESS][:PORT]", default: "all addresses, port 6445", description: "Where to listen" },
      part,
    },
    positionals: [{ name: "FILE", description: "Kubestick file; the running executable when left out", optional: true }],
    run: async (flags, positionals, io) => (await import("./package-serve.ts")).packageServeCommand(flags, positionals, io),
  }),
  command({
    path: ["kubeconfig", "user"],
    summary: "Write a kubeconfig for one more user",
    description: "Issues a client certificate with the cluster's CA on this machine, or takes a token, and prints a kubeconfig. No right is given: bind a role to the name or to a group with kubectl.",
    examples: [
      { comment: "For a person, for a day", line: "kubestick kubeconfig user --client-name anna --validity-period 24h > anna.conf" },
      { comment: "In two groups", line: "kubestick kubeconfig user --client-name anna --org developers,operators" },
      { comment: "With the endpoint and folders of a configuration", line: "kubestick kubeconfig user --client-name anna --config cluster.yaml" },
    ],
    flags: {
      "client-name": { type: "string", withConfig: true, placeholder: "NAME", description: "Name of the user, the certificate's common name; required" },
      config,
      org: { type: "strings", withConfig: true, placeholder: "GROUPS", description: "Groups of the user, the certificate's organizations" },
      token: { type: "string", withConfig: true, placeholder: "TOKEN", description: "A token for the kubeconfig, instead of a certificate" },
      "validity-period": { type: "duration", withConfig: true, placeholder: "DURATION", default: "8760h0m0s", description: "Time until the certificate expires" },
    },
    run: async (flags, _, io) => (await import("./kubeconfig-user.ts")).kubeconfigUserCommand(flags, io),
  }),
];
