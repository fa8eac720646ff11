/** The only import of @peculiar/x509; the Reflect functions must exist before it is evaluated. Callers pass `crypto` themselves, so its global provider stays unused. */
import "./reflect-metadata.ts";
import * as x509 from "@peculiar/x509";

export { x509 };
