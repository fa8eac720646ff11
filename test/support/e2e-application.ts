/** An application as people carry it to a site: an archive of `docker save` and the manifest that starts it. */
import { readFileSync } from "node:fs";
import { dockerArchiveFiles, tarOf } from "../package/images.ts";
import { assetProgram } from "./e2e-stick.ts";

export const APPLICATION_IMAGE = "registry.example.test/shop/app:1";

/** It does nothing, for ever. */
export async function applicationArchive(): Promise<Buffer> {
  const layer = await tarOf({ app: readFileSync(assetProgram("pause")) });
  return tarOf(dockerArchiveFiles(APPLICATION_IMAGE, [layer]));
}

/** The Deployment first and its namespace behind it, as authors do. */
export const applicationManifest = `apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: shop}
spec:
  selector: {matchLabels: {app: shop}}
  template:
    metadata: {labels: {app: shop}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations: [{operator: Exists}]
      containers: [{name: app, image: "${APPLICATION_IMAGE}", command: [/app], resources: {requests: {cpu: "0.01", memory: 1024Ki}}}]
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
`;
