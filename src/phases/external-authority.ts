/** What cannot be done when an authority's key is elsewhere; said by the phase that finds it out first. */
import type { ResolvedConfig } from "../config/types.ts";
import { KubestickError } from "../errors.ts";

/** Without the key another node could not issue its own certificates (kubeadm cmd/init.go refuses the same). */
export function externalAuthority({ cluster }: ResolvedConfig, authority: string): KubestickError {
  return new KubestickError({
    code: "UPLOAD_CERTS_EXTERNAL_CA",
    attempted: "preparing the upload of the shared certificates",
    happened: `${cluster.certificatesDir}/${authority}.key is not on this machine: ${authority} is an external authority, whose key cannot be shared.`,
    next: "Leave out --upload-certs and copy the certificates to further control-plane nodes by hand.",
  });
}
