import type { ClusterConfiguration, EncryptionAlgorithm } from "./types.ts";

/** What keys are made with: the deprecated gate, when it is set, wins over the field, which is stored as it was written (kubeadm apis/kubeadm/types.go EncryptionAlgorithmType). */
export function keyAlgorithm(cluster: Pick<ClusterConfiguration, "featureGates" | "encryptionAlgorithm">): EncryptionAlgorithm {
  const gate = cluster.featureGates?.["PublicKeysECDSA"];
  return gate === undefined ? cluster.encryptionAlgorithm : gate ? "ECDSA-P256" : "RSA-2048";
}
