/** The API server of this node. Facts: kubeadm phases/controlplane/manifests.go. */
import type { KubeObject } from "../cluster/types.ts";
import { joinHostPort } from "../config/address.ts";
import type { ResolvedConfig } from "../config/types.ts";
import { lastValue, mergeArguments, type DefaultArguments } from "./arguments.ts";
import { etcdClientUrl, etcdLoopback } from "./etcd.ts";
import { imageReference } from "./images.ts";
import { annotations } from "./names.ts";
import { mergeEnvironment, probeHost, proxyVariables, staticPod, type StaticPodContext } from "./static-pod.ts";
import { certificateVolumes, externalEtcdVolumes, withExtraVolumes } from "./volumes.ts";

export function apiServerPod(config: ResolvedConfig, context: StaticPodContext): KubeObject {
  const { apiServer, etcd, certificatesDir } = config.cluster;
  const { advertiseAddress, bindPort } = config.init.localAPIEndpoint;
  return staticPod(config, {
    name: "kube-apiserver",
    image: imageReference(config, "kube-apiserver"),
    command: mergeArguments(apiServerArguments(config), apiServer.extraArgs),
    annotations: { [annotations.apiServerEndpoint]: joinHostPort(advertiseAddress, bindPort) },
    env: mergeEnvironment(proxyVariables(context), apiServer.extraEnvs),
    requests: { cpu: "250m" },
    port: bindPort,
    probes: { host: probeHost(advertiseAddress), scheme: "HTTPS", liveness: "/livez", readiness: "/readyz", startup: "/livez" },
    volumes: withExtraVolumes(
      [...certificateVolumes(config, context.caDirectories), ...(etcd.external === undefined ? [] : externalEtcdVolumes(etcd.external, certificatesDir))],
      apiServer.extraVolumes,
    ),
  });
}

function apiServerArguments(config: ResolvedConfig): DefaultArguments {
  const { apiServer, certificatesDir: pki, networking } = config.cluster;
  const { advertiseAddress, bindPort } = config.init.localAPIEndpoint;
  return {
    "advertise-address": advertiseAddress,
    "allow-privileged": "true",
    // A structured authorization file and the mode flag exclude each other.
    "authorization-mode": lastValue(apiServer.extraArgs, "authorization-config") === undefined ? "Node,RBAC" : undefined,
    "client-ca-file": `${pki}/ca.crt`,
    "enable-admission-plugins": "NodeRestriction",
    "enable-bootstrap-token-auth": "true",
    ...etcdArguments(config),
    "kubelet-client-certificate": `${pki}/apiserver-kubelet-client.crt`,
    "kubelet-client-key": `${pki}/apiserver-kubelet-client.key`,
    "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
    "proxy-client-cert-file": `${pki}/front-proxy-client.crt`,
    "proxy-client-key-file": `${pki}/front-proxy-client.key`,
    "requestheader-allowed-names": "front-proxy-client",
    "requestheader-client-ca-file": `${pki}/front-proxy-ca.crt`,
    "requestheader-extra-headers-prefix": "X-Remote-Extra-",
    "requestheader-group-headers": "X-Remote-Group",
    "requestheader-username-headers": "X-Remote-User",
    "secure-port": String(bindPort),
    "service-account-issuer": `https://kubernetes.default.svc.${networking.dnsDomain}`,
    "service-account-key-file": `${pki}/sa.pub`,
    "service-account-signing-key-file": `${pki}/sa.key`,
    "service-cluster-ip-range": networking.serviceSubnet,
    "tls-cert-file": `${pki}/apiserver.crt`,
    "tls-private-key-file": `${pki}/apiserver.key`,
  };
}

function etcdArguments(config: ResolvedConfig): DefaultArguments {
  const { etcd, certificatesDir: pki } = config.cluster;
  if (etcd.external !== undefined) {
    const { endpoints, caFile, certFile, keyFile } = etcd.external;
    const withClient = certFile !== "" && keyFile !== "";
    return {
      "etcd-servers": endpoints.join(","),
      "etcd-cafile": caFile === "" ? undefined : caFile,
      "etcd-certfile": withClient ? certFile : undefined,
      "etcd-keyfile": withClient ? keyFile : undefined,
    };
  }
  return {
    "etcd-servers": lastValue(etcd.local.extraArgs, "advertise-client-urls") ?? etcdClientUrl(etcdLoopback(config)),
    "etcd-cafile": `${pki}/etcd/ca.crt`,
    "etcd-certfile": `${pki}/apiserver-etcd-client.crt`,
    "etcd-keyfile": `${pki}/apiserver-etcd-client.key`,
  };
}
