/** Every certificate and kubeconfig of a control plane, issued as a run would issue them. */
import { certificateRows, kubeconfigRows, type AuthorityName } from "../../src/pki/certificate-table.ts";
import { issueAuthority, issueKubeconfig, issueLeaf, type Signer } from "../../src/pki/issue.ts";
import type { ResolvedConfig } from "../../src/config/types.ts";

export interface ControlPlanePki {
  readonly authorities: Readonly<Record<string, Signer>>;
  /** `apiserver.crt`, `etcd/ca.crt` to PEM. */
  readonly certificates: ReadonlyMap<string, string>;
  /** `apiserver.key` to PEM. */
  readonly keys: ReadonlyMap<string, string>;
  /** `admin.conf` to text. */
  readonly kubeconfigs: ReadonlyMap<string, string>;
}

/** `nextKey` makes or repeats keys: most tests look at certificates only and need not wait for fresh ones. */
export async function issueControlPlane(config: ResolvedConfig, now: Date, nextKey: () => Promise<string>): Promise<ControlPlanePki> {
  const authorities: Partial<Record<AuthorityName, Signer>> = {};
  const certificates = new Map<string, string>();
  const keys = new Map<string, string>();
  const kubeconfigs = new Map<string, string>();
  for (const row of certificateRows(config)) {
    const key = await nextKey();
    keys.set(`${row.baseName}.key`, key);
    if (row.kind === "authority") {
      const certificate = await issueAuthority(row, config, key, now);
      authorities[row.name] = { certificate, key };
      certificates.set(`${row.baseName}.crt`, certificate);
    } else {
      certificates.set(`${row.baseName}.crt`, await issueLeaf(row, config, key, authorities[row.authority] as Signer, now));
    }
  }
  for (const row of kubeconfigRows) {
    kubeconfigs.set(row.name, await issueKubeconfig(row, config, await nextKey(), authorities.ca as Signer, now));
  }
  return { authorities: authorities as Readonly<Record<string, Signer>>, certificates, keys, kubeconfigs };
}
