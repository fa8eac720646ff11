/** The questions to an etcd that is not ours: does it answer from here, with the client's certificate, and is it new enough? */
import type { ExternalEtcd } from "../config/types.ts";
import type { WaitAction } from "../engine/types.ts";
import { wait } from "./actions.ts";

/** Lowest external etcd (kubeadm constants.go, MinExternalEtcdVersion): older ones lose data under the API server's watch cache. */
export const minimumEtcd = "3.5.24";

export const externalEtcdCheck = "ExternalEtcdVersion";

/** Only the network can answer, so it is a wait of the engine: several tries, as in kubeadm, and a failure with all of their words. */
export function externalEtcdWaits({ endpoints, httpEndpoints = [], caFile, certFile, keyFile }: ExternalEtcd): readonly WaitAction[] {
  return (httpEndpoints.length > 0 ? httpEndpoints : endpoints).map((endpoint) => wait(`external-etcd/${endpoint}`, `External etcd at ${endpoint} is ${minimumEtcd} or newer`, {
    type: "etcd-version", endpoint, minimum: minimumEtcd, ...(caFile ? { ca: caFile } : {}), ...(certFile ? { certificate: certFile } : {}), ...(keyFile ? { key: keyFile } : {}),
  }, 30_000));
}
