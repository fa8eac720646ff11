/** GET for health endpoints of components on this machine. */
import { request as plain } from "node:http";
import { request as encrypted } from "node:https";
import type { HttpRequest } from "./context.ts";

/** Health answers are a word or a short list of checks. */
const bodyLimit = 64 * 1024;

export async function httpGet({ url, ca, certificate, key, timeoutMs }: HttpRequest): Promise<{ readonly status: number; readonly body: string }> {
  const secure = url.startsWith("https:");
  // agent false: one connection per question, so a component that restarts is not asked over its predecessor's socket.
  const common = { agent: false, signal: AbortSignal.timeout(timeoutMs) };
  return await new Promise((resolve, reject) => {
    const request = secure
      // Without a CA: loopback components serve certificates they signed themselves, as kubeadm's own check accepts.
      ? encrypted(url, { ...common, rejectUnauthorized: ca !== undefined, ...(ca === undefined ? {} : { ca }), ...(certificate === undefined ? {} : { cert: certificate }), ...(key === undefined ? {} : { key }) })
      : plain(url, common);
    request.once("error", (error) => {
      reject(error.name === "TimeoutError" || error.name === "AbortError" ? new Error(`no answer within ${timeoutMs / 1000} s`, { cause: error }) : error);
    });
    request.once("response", (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on("data", (chunk: Buffer) => {
        if (size < bodyLimit) chunks.push(chunk);
        size += chunk.byteLength;
      });
      response.once("error", reject);
      response.once("end", () => { resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8").slice(0, bodyLimit) }); });
    });
    request.end();
  });
}
