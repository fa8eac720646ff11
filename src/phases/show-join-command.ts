/** Phase `show-join-command`: what to type on the next node. The text is kubeadm's, byte for byte. */
import type { Phase } from "../engine/types.ts";
import { clusterEndpoint } from "../manifests/endpoints.ts";
import { caPin } from "../pki/inspect.ts";
import type { BootstrapTokenOutput } from "./bootstrap-token.ts";
import type { CertsOutput } from "./certs.ts";

type Needs = { readonly certs: CertsOutput; readonly "bootstrap-token": BootstrapTokenOutput };

export const showJoinCommand: Phase<"show-join-command", Needs, Record<never, never>> = {
  id: "show-join-command",
  title: "Print the join command",
  needs: ["certs", "bootstrap-token"],
  async plan({ config, from }) {
    const endpoint = clusterEndpoint(config).replaceAll("https://", "");
    const pin = caPin(from.certs.caPem);
    const commands = from["bootstrap-token"].tokens.map((token) => joinCommand(endpoint, token, pin));
    return { actions: [], output: {}, result: { name: "joinCommands", value: commands.map((command) => command.replaceAll(/\\\n\t/g, "").trim()), text: commands.join("") } };
  },
};

/** Continuation lines, tabs and the trailing space as kubeadm writes them (util/../phases/init/showjoincommand.go). */
export function joinCommand(endpoint: string, token: string, pin: string): string {
  return `kubestick join ${endpoint} --token ${token} \\\n\t--discovery-token-ca-cert-hash ${pin} \n`;
}
