/**
 * Phase `wait-control-plane`: kubelet, API server, the administrators' rights, then the other two components.
 * kubeadm asks for the rights first and reports every failure of everything as a refused connection; here each is asked in the order in which they come up.
 */
import { joinHostPort } from "../config/address.ts";
import type { Action, Phase } from "../engine/types.ts";
import { lastValue } from "../manifests/arguments.ts";
import { clusterAdminsBinding } from "../manifests/cluster-admins.ts";
import { localEndpoint } from "../manifests/endpoints.ts";
import { kubeletConfiguration } from "../manifests/kubelet.ts";
import { object, wait } from "./actions.ts";

export const waitControlPlane: Phase<"wait-control-plane", Record<never, never>, Record<never, never>> = {
  id: "wait-control-plane",
  title: "Wait until the control plane is healthy",
  needs: [],
  async plan({ config }) {
    const { timeouts, nodeRegistration } = config.init;
    const socket = nodeRegistration.criSocket;
    const { healthzBindAddress, healthzPort } = kubeletConfiguration(config);
    const actions: Action[] = [];
    // Port 0 switches the kubelet's endpoint off (kubeadm waits for nothing then).
    if (healthzPort !== 0) {
      actions.push(wait("kubelet", "The kubelet is healthy", { type: "http", url: `http://${joinHostPort(String(healthzBindAddress), Number(healthzPort))}/healthz`, component: "kubelet", socket }, timeouts.kubeletHealthCheck));
    }
    const component = (name: "controllerManager" | "scheduler", title: string, path: string, port: number): Action => {
      const args = config.cluster[name].extraArgs;
      const address = joinHostPort(lastValue(args, "bind-address") ?? "127.0.0.1", lastValue(args, "secure-port") ?? port);
      return wait(title, `${title} is healthy`, { type: "http", url: `https://${address}${path}`, component: title, socket }, timeouts.controlPlaneComponentHealthCheck);
    };
    actions.push(
      wait("kube-apiserver", "kube-apiserver is healthy", { type: "api", url: localEndpoint(config), socket }, timeouts.controlPlaneComponentHealthCheck),
      object(clusterAdminsBinding(), "retain", timeouts.kubernetesAPICall, { as: "super-admin", why: "gives the group of admin.conf its rights" }),
      component("controllerManager", "kube-controller-manager", "/healthz", 10257),
      component("scheduler", "kube-scheduler", "/livez", 10259),
    );
    return { actions, output: {} };
  },
};
