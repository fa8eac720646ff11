/** SPDX licence expressions (SPDX 2.3, annex D), as far as packages and images use them. */

/** Identifiers of the SPDX licence list that are met in the field. One that is missing here is shown as it is written and counts as no expression. */
const KNOWN = new Set([
  "0BSD", "AFL-2.1", "AGPL-3.0-only", "AGPL-3.0-or-later", "Apache-1.1", "Apache-2.0", "Artistic-2.0", "BSD-1-Clause", "BSD-2-Clause", "BSD-3-Clause", "BSD-4-Clause", "BSL-1.0", "BUSL-1.1", "BlueOak-1.0.0",
  "CC-BY-3.0", "CC-BY-4.0", "CC0-1.0", "CDDL-1.0", "CDDL-1.1", "EPL-1.0", "EPL-2.0", "EUPL-1.2", "Elastic-2.0", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-only", "GPL-3.0-or-later", "ICU", "ISC",
  "LGPL-2.0-only", "LGPL-2.0-or-later", "LGPL-2.1-only", "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MIT", "MIT-0", "MPL-1.1", "MPL-2.0", "NCSA", "OFL-1.1", "OpenSSL", "PSF-2.0", "PostgreSQL",
  "Python-2.0", "Ruby", "SSPL-1.0", "UPL-1.0", "Unicode-3.0", "Unicode-DFS-2016", "Unlicense", "Vim", "W3C", "WTFPL", "X11", "Zlib", "curl", "libpng-2.0",
]);
const EXCEPTIONS = new Set(["Classpath-exception-2.0", "GCC-exception-3.1", "LLVM-exception", "Linux-syscall-note", "OpenSSL-exception"]);

export function isLicenseId(text: string): boolean {
  return KNOWN.has(text);
}

/** Whether a text is an expression of identifiers known here. */
export function isLicenseExpression(text: string): boolean {
  const tokens = text.match(/\(|\)|[A-Za-z0-9.+-]+|\S/g) ?? [];
  let at = 0;
  const simple = (): boolean => {
    if (tokens[at] === "(") {
      at += 1;
      if (!compound() || tokens[at] !== ")") return false;
      at += 1;
      return true;
    }
    if (!KNOWN.has((tokens[at] ?? "").replace(/\+$/, ""))) return false;
    at += 1;
    if (tokens[at] !== "WITH") return true;
    at += 2;
    return EXCEPTIONS.has(tokens[at - 1] ?? "");
  };
  const compound = (): boolean => {
    if (!simple()) return false;
    while (tokens[at] === "AND" || tokens[at] === "OR") {
      at += 1;
      if (!simple()) return false;
    }
    return true;
  };
  return compound() && at === tokens.length;
}
