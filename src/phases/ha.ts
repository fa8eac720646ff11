/**
 * Phase `ha`: this node's own way to the control planes, which outlives any one of them. haproxy as a static pod on the loopback, under the name
 * that is the cluster's endpoint, and a timer that keeps its list of API servers. Nothing without `--ha`. Why so: docs/decisions/ha-endpoint.md.
 */
import { joinHostPort } from "../config/address.ts";
import type { ResolvedConfig } from "../config/types.ts";
import type { Action, Phase, PlanInput } from "../engine/types.ts";
import { controlPlanesPath, controlPlanesText, haEndpoint, haproxyConfigPath, haproxyDirectory, haproxyHealthPort, haproxyManifestPath, haproxyPod } from "../manifests/haproxy.ts";
import { toYaml } from "../manifests/yaml.ts";
import { directory, file, fillTemplate, fingerprint, line, unit } from "./actions.ts";
import { kubeletConfPath } from "./kubeconfig.ts";

export const refreshPath = "/usr/local/lib/kubestick/refresh-control-planes";
const hostsPath = "/etc/hosts";
const servicePath = "/etc/systemd/system/kubestick-ha.service";
const timerPath = "/etc/systemd/system/kubestick-ha.timer";

export const ha: Phase<"ha", Record<never, never>, Record<never, never>> = {
  id: "ha",
  title: "Give this node a way to all control planes (with --ha)",
  needs: [],
  async plan(input) {
    return { actions: input.config.install.ha ? await haActions(input) : [], output: {} };
  },
};

/** The line in /etc/hosts by which the endpoint's name is this node's own haproxy. */
export function hostsLine(config: ResolvedConfig): string {
  return `127.0.0.1 ${haEndpoint(config).host} # kubestick: haproxy on this node`;
}

async function haActions({ config, read, assets }: PlanInput<unknown>): Promise<readonly Action[]> {
  const { criSocket, name } = config.init.nodeRegistration;
  const configuration = fillTemplate(assets.text("bundle/haproxy/haproxy.cfg"), { PORT: String(haEndpoint(config).port), HEALTH_PORT: String(haproxyHealthPort) });
  const backend = assets.text("bundle/haproxy/control-planes.cfg");
  const refresh = fillTemplate(assets.text("bundle/haproxy/refresh-control-planes"), { CRI_SOCKET: criSocket, HOSTS: hostsPath, KUBECONFIG: kubeletConfPath, LINE: hostsLine(config), LIST: controlPlanesPath, NODE_NAME: name });
  const service = assets.text("bundle/systemd/kubestick-ha.service");
  const timer = assets.text("bundle/systemd/kubestick-ha.timer");
  return [
    line(hostsPath, hostsLine(config), { why: "the name of the control planes' endpoint" }),
    directory(haproxyDirectory, 0o755),
    file(haproxyConfigPath, 0o644, configuration),
    file(controlPlanesPath, 0o644, controlPlanesText(backend, apiServers(config), await read.readText(controlPlanesPath)), { why: "what the timer has learned stays" }),
    file(refreshPath, 0o755, refresh),
    file(servicePath, 0o644, service),
    file(timerPath, 0o644, timer),
    file(haproxyManifestPath, 0o600, toYaml(haproxyPod(caPath(config), config.cluster.controlPlaneEndpoint ?? "", fingerprint(configuration, backend))), { parentMode: 0o700 }),
    unit("kubestick-ha.timer", fingerprint(refresh, service, timer)),
  ];
}

/** Those the cluster named to the joining node, and this node's own. */
function apiServers({ init: { localAPIEndpoint: { advertiseAddress, bindPort } }, joining }: ResolvedConfig): readonly string[] {
  const own = joining?.role === "worker" ? [] : [joinHostPort(advertiseAddress, bindPort)];
  return [...new Set([...(joining?.controlPlanes ?? []), ...own])];
}

function caPath({ cluster, joining }: ResolvedConfig): string {
  return joining?.role === "worker" ? joining.caCertPath : `${cluster.certificatesDir}/ca.crt`;
}
