/** What of a package is for one architecture. */
import type { Digest, PackageImage, PackagePlatform } from "./types.ts";

export function digestsOfImage({ target, manifest, config, layers }: PackageImage): readonly Digest[] {
  return [target.digest, manifest.digest, config.digest, ...layers.map(({ entry }) => entry)];
}

/** The entries it refers to; some may be named twice, and others have some of them, too. */
export function digestsOfPlatform({ program, binaries, images }: PackagePlatform): readonly Digest[] {
  return [...(program === undefined ? [] : [program.digest]), ...binaries.map(({ digest }) => digest), ...images.flatMap(digestsOfImage)];
}
