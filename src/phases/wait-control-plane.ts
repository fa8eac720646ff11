/**
 * Phase `wait-control-plane`: kubelet, API server, the administrators' rights, then the other two components.
 * kubeadm asks for the rights first and reports every failure of everything as a refused connection; here each is asked in the order in which they come up.
 */
import { joinHostPort } from "../config/address.ts";
import type { Action, Phase } from "../engine/types.ts";
import { lastValue } from "../manifests/arguments.ts";
import { clusterAdminsBinding } from "../manifests/cluster-admins.ts";
import { localEndpoint } from "../manifests/endpoints.ts";
import { object, wait } from "./actions.ts";
import { kubeletHealthWaits } from "./kubelet-health.ts";

export const waitControlPlane: Phase<"wait-control-plane", Record<never, never>, Record<never, never>> = {
  id: "wait-control-plane",
  title: "Wait until the control plane is healthy",
  needs: [],
  async plan({ config }) {
    const { timeouts, nodeRegistration } = config.init;
    const socket = nodeRegistration.criSocket;
    const component = (name: "controllerManager" | "scheduler", title: string, path: string, port: number): Action => {
      const args = config.cluster[name].extraArgs;
      const address = joinHostPort(lastValue(args, "bind-address") ?? "127.0.0.1", lastValue(args, "secure-port") ?? port);
      return wait(title, `${title} is healthy`, { type: "http", url: `https://${address}${path}`, component: title, socket }, timeouts.controlPlaneComponentHealthCheck);
    };
    const actions: readonly Action[] = [
      ...kubeletHealthWaits(config),
      wait("kube-apiserver", "kube-apiserver is healthy", { type: "api", url: localEndpoint(config), socket }, timeouts.controlPlaneComponentHealthCheck),
      object(clusterAdminsBinding(), "retain", timeouts.kubernetesAPICall, { as: "super-admin", why: "gives the group of admin.conf its rights" }),
      component("controllerManager", "kube-controller-manager", "/healthz", 10257),
      component("scheduler", "kube-scheduler", "/livez", 10259),
    ];
    return { actions, output: {} };
  },
};
