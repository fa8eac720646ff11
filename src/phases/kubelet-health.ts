/** What init and join ask of the kubelet before they ask anything else. */
import { joinHostPort } from "../config/address.ts";
import type { ResolvedConfig } from "../config/types.ts";
import type { WaitAction } from "../engine/types.ts";
import { kubeletConfiguration } from "../manifests/kubelet.ts";
import { wait } from "./actions.ts";

/** Nothing with port 0, which switches the kubelet's endpoint off (kubeadm waits for nothing then). */
export function kubeletHealthWaits(config: ResolvedConfig): readonly WaitAction[] {
  const { healthzBindAddress, healthzPort } = kubeletConfiguration(config);
  const { nodeRegistration: { criSocket: socket }, timeouts } = config.init;
  if (healthzPort === 0) return [];
  const url = `http://${joinHostPort(String(healthzBindAddress), Number(healthzPort))}/healthz`;
  return [wait("kubelet", "The kubelet is healthy", { type: "http", url, component: "kubelet", socket }, timeouts.kubeletHealthCheck)];
}
