/**
 * Which proxy a Go program takes from its environment for a https request: golang.org/x/net/http/httpproxy in the few lines
 * that matter here. Everything kubeadm deploys is such a program and gets these variables.
 */
import { isIP } from "node:net";
import { cidrContains, parseCidr } from "../config/address.ts";

/** undefined: asked directly. `host` without brackets. */
export function httpsProxyFor(host: string, port: number, environment: Readonly<Record<string, string>>): string | undefined {
  const proxy = environment["HTTPS_PROXY"] ?? environment["https_proxy"];
  if (proxy === undefined || proxy === "" || host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."))) return undefined;
  const exceptions = (environment["NO_PROXY"] ?? environment["no_proxy"] ?? "").split(",").map((part) => part.trim().toLowerCase()).filter((part) => part !== "");
  return exceptions.some((exception) => excepts(exception, host.toLowerCase(), port)) ? undefined : proxy;
}

function excepts(exception: string, host: string, port: number): boolean {
  if (exception === "*") return true;
  const cidr = exception.includes("/") ? parseCidr(exception) : undefined;
  if (cidr !== undefined) return isIP(host) === cidr.family && cidrContains(cidr, host);
  const [, bracketed, plain, portText] = /^(?:\[([^\]]+)\]|([^:]+|.*:.*:.*?))(?::(\d+))?$/.exec(exception) ?? [];
  const name = bracketed ?? plain ?? exception;
  if (portText !== undefined && Number(portText) !== port) return false;
  if (isIP(host) !== 0) return name === host;
  // `.example.com` and `*.example.com` stand for what is below; `example.com` for itself too.
  const suffix = name.replace(/^\*?\./, "");
  return host.endsWith(`.${suffix}`) || (name === suffix && host === suffix);
}
