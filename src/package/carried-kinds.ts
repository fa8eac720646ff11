/** Kinds of documents in the index that people put there. */
export const MANIFEST_KIND = "manifest";
export const CHART_KIND = "chart";
