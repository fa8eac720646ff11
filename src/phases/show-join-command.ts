/** Phase `show-join-command`: what to type on the next node. The text is kubeadm's, byte for byte, but for the program's name. */
import type { Phase } from "../engine/types.ts";
import { clusterEndpoint, localEndpoint } from "../manifests/endpoints.ts";
import { caPin } from "../pki/inspect.ts";
import type { BootstrapTokenOutput } from "./bootstrap-token.ts";
import type { CertsOutput } from "./certs.ts";
import type { UploadCertsOutput } from "./upload-certs.ts";

type Needs = { readonly certs: CertsOutput; readonly "upload-certs": UploadCertsOutput; readonly "bootstrap-token": BootstrapTokenOutput };

const withheld = "<value withheld>";

export const showJoinCommand: Phase<"show-join-command", Needs, Record<never, never>> = {
  id: "show-join-command",
  title: "Print the join command",
  needs: ["certs", "upload-certs", "bootstrap-token"],
  reads: { certs: ["ca"] },
  async plan({ config, from }) {
    const { flags } = config;
    // The endpoint's name means something only on a node that has joined.
    const endpoint = (config.install.ha ? localEndpoint(config) : clusterEndpoint(config)).replaceAll("https://", "");
    const pin = caPin(from.certs.caPem);
    const { certificateKey } = from["upload-certs"];
    const key = certificateKey === undefined ? undefined
      : flags?.skipCertificateKeyPrint === true ? withheld
        : certificateKey.known ? certificateKey.key : "<key printed when the certificates were uploaded>";
    const pairs = from["bootstrap-token"].tokens.map((secret) => {
      const token = flags?.skipTokenPrint === true ? withheld : secret;
      return {
        // Behind an address that is only this node's, no second control-plane node would ever be found.
        controlPlane: config.cluster.controlPlaneEndpoint === undefined ? undefined : controlPlaneJoinCommand(endpoint, token, pin, key),
        worker: joinCommand(endpoint, token, pin),
      };
    });
    const text = pairs.map(({ controlPlane, worker }) => (controlPlane === undefined ? worker : `${controlPlane}\n\n${worker}`)).join("\n");
    const value = pairs.flatMap(({ controlPlane, worker }) => [...(controlPlane === undefined ? [] : [controlPlane]), worker]).map((command) => command.replaceAll(/\\\n\t/g, "").trim());
    return { actions: [], output: {}, result: { name: "joinCommands", value, text } };
  },
};

/** Continuation lines, tabs and the trailing space as kubeadm writes them (util/../phases/init/showjoincommand.go). */
export function joinCommand(endpoint: string, token: string, pin: string): string {
  return `kubestick join ${endpoint} --token ${token} \\\n\t--discovery-token-ca-cert-hash ${pin} \n`;
}

/** Without uploaded certificates there is no key, and the shared files have to be copied by hand. */
export function controlPlaneJoinCommand(endpoint: string, token: string, pin: string, key: string | undefined): string {
  return `${joinCommand(endpoint, token, pin).trimEnd()} \\\n\t--control-plane ${key === undefined ? "" : `--certificate-key ${key}`}`;
}
