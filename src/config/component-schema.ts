/**
 * The fields of KubeletConfiguration and KubeProxyConfiguration with their types. Source: k8s.io/kubelet config/v1beta1 and k8s.io/kube-proxy
 * config/v1alpha1 of 1.36, with the component-base types they embed. Minors before know fewer fields and none under another type.
 */
import type { ObjectSchema, Schema } from "./schema.ts";

const string: Schema = { type: "string" };
const boolean: Schema = { type: "boolean" };
const integer: Schema = { type: "integer" };
const duration: Schema = { type: "duration" };
const any: Schema = { type: "any" };
const strings: Schema = { type: "list", of: string };
const stringMap: Schema = { type: "stringMap" };
const typeMeta = { apiVersion: string, kind: string };

/** Go's strict decoder warns of fields it does not know, and then leaves them out; so do we. */
const object = (fields: Readonly<Record<string, Schema>>): ObjectSchema => ({ type: "object", fields, unknownFields: "warn" });

/** `names`, a list in one text, each with this schema. */
const each = (schema: Schema, names: string): Readonly<Record<string, Schema>> => Object.fromEntries(names.split(/\s+/).map((name) => [name, schema]));

/** Go leaves a zero out of what it writes, where the field is no pointer. */
const sparse = (schema: Schema): Schema => ({ ...schema, omitZero: true });

const outputRouting = object({ splitStream: sparse(boolean), infoBufferSize: any });
const logging = object({ format: string, flushFrequency: any, verbosity: integer, vmodule: any, options: object({ text: outputRouting, json: outputRouting }) });
const taint = object({ key: string, value: string, effect: string, timeAdded: string });

export const kubeletSchema = object({
  ...typeMeta,
  ...each(boolean, "enableServer enableDebuggingHandlers cgroupsPerQOS singleProcessOOMKill cpuCFSQuota serializeImagePulls mergeDefaultEvictionSettings enableControllerAttachDetach makeIPTablesUtilChains "
    + "failSwapOn enableSystemLogHandler enableSystemLogQuery enableProfilingHandler enableDebugFlagsHandler seccompDefault registerNode localStorageCapacityIsolation failCgroupV1"),
  ...each(sparse(boolean), "rotateCertificates serverTLSBootstrap enableContentionProfiling runOnce protectKernelDefaults kernelMemcgNotification"),
  ...each(string, "staticPodPath podLogsDir staticPodURL address tlsCertFile tlsPrivateKeyFile tlsMinVersion imagePullCredentialsVerificationPolicy healthzBindAddress clusterDomain kubeletCgroups "
    + "systemCgroups cgroupRoot cgroupDriver cpuManagerPolicy memoryManagerPolicy topologyManagerPolicy topologyManagerScope hairpinMode podCIDR contentType containerLogMaxSize "
    + "configMapAndSecretChangeDetectionStrategy reservedSystemCPUs showHiddenMetricsForVersion systemReservedCgroup kubeReservedCgroup volumePluginDir providerID memoryReservationPolicy "
    + "containerRuntimeEndpoint imageServiceEndpoint resolvConf"),
  ...each(duration, "syncFrequency fileCheckFrequency httpCheckFrequency streamingConnectionIdleTimeout nodeStatusUpdateFrequency nodeStatusReportFrequency imageMinimumGCAge imageMaximumGCAge "
    + "volumeStatsAggPeriod cpuManagerReconcilePeriod runtimeRequestTimeout evictionPressureTransitionPeriod shutdownGracePeriod shutdownGracePeriodCriticalPods cpuCFSQuotaPeriod containerLogMonitorInterval"),
  ...each(integer, "registryPullQPS eventRecordQPS healthzPort oomScoreAdj imageGCHighThresholdPercent imageGCLowThresholdPercent nodeStatusMaxImages kubeAPIQPS maxParallelImagePulls "
    + "iptablesMasqueradeBit iptablesDropBit containerLogMaxFiles containerLogMaxWorkers podPidsLimit"),
  ...each(sparse(integer), "port readOnlyPort registryBurst eventBurst nodeLeaseDurationSeconds maxPods kubeAPIBurst evictionMaxPodGracePeriod podsPerCore maxOpenFiles"),
  ...each(strings, "tlsCipherSuites preloadedImagesVerificationAllowlist clusterDNS enforceNodeAllocatable allowedUnsafeSysctls"),
  tlsCurvePreferences: { type: "list", of: integer },
  ...each(stringMap, "cpuManagerPolicyOptions topologyManagerPolicyOptions qosReserved evictionHard evictionSoft evictionSoftGracePeriod evictionMinimumReclaim systemReserved kubeReserved"),
  staticPodURLHeader: any,
  featureGates: { type: "booleanMap" },
  memoryThrottlingFactor: { type: "number" },
  authentication: object({ x509: object({ clientCAFile: string }), webhook: object({ enabled: boolean, cacheTTL: duration }), anonymous: object({ enabled: boolean }) }),
  authorization: object({ mode: string, webhook: object({ cacheAuthorizedTTL: duration, cacheUnauthorizedTTL: duration }) }),
  memorySwap: object({ swapBehavior: string }),
  logging,
  shutdownGracePeriodByPodPriority: { type: "list", of: object({ priority: integer, shutdownGracePeriodSeconds: integer }) },
  crashLoopBackOff: object({ maxContainerRestartPeriod: duration }),
  reservedMemory: { type: "list", of: object({ numaNode: integer, limits: any }) },
  registerWithTaints: { type: "list", of: taint },
  tracing: object({ endpoint: string, samplingRatePerMillion: integer }),
  userNamespaces: object({ idsPerPod: integer }),
});

export const kubeProxySchema = object({
  ...typeMeta,
  featureGates: { type: "booleanMap" },
  clientConnection: object({ kubeconfig: string, acceptContentTypes: string, contentType: string, qps: { type: "number" }, burst: integer }),
  logging,
  ...each(string, "hostnameOverride bindAddress healthzBindAddress metricsBindAddress showHiddenMetricsForVersion mode detectLocalMode clusterCIDR portRange"),
  ...each(boolean, "bindAddressHardFail enableProfiling windowsRunAsService"),
  iptables: object({ masqueradeBit: integer, masqueradeAll: boolean, localhostNodePorts: boolean, syncPeriod: duration, minSyncPeriod: duration }),
  ipvs: object({ syncPeriod: duration, minSyncPeriod: duration, scheduler: string, excludeCIDRs: strings, strictARP: boolean, tcpTimeout: duration, tcpFinTimeout: duration, udpTimeout: duration }),
  nftables: object({ masqueradeBit: integer, masqueradeAll: boolean, syncPeriod: duration, minSyncPeriod: duration }),
  winkernel: object({ networkName: string, sourceVip: string, enableDSR: boolean, rootHnsEndpointName: string, forwardHealthCheckVip: boolean }),
  detectLocal: object({ bridgeInterface: string, interfaceNamePrefix: string }),
  nodePortAddresses: strings,
  oomScoreAdj: integer,
  conntrack: object({ maxPerCore: integer, min: integer, tcpEstablishedTimeout: duration, tcpCloseWaitTimeout: duration, tcpBeLiberal: boolean, udpTimeout: duration, udpStreamTimeout: duration }),
  configSyncPeriod: duration,
});
