/**
 * Who we are to a registry: challenges (RFC 9110 11.6.1), the token flow of the distribution project, and the passwords in
 * the files of docker and podman. Passwords and tokens never leave this file except in a request header.
 */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { KubestickError, messageOf } from "../errors.ts";
import { isLoopback, type HttpClient } from "./http.ts";

export interface Challenge {
  /** Lower-case: `bearer`, `basic`. */
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

/** `Bearer realm="https://auth.docker.io/token",service="registry.docker.io"`; values may hold commas, several challenges may follow each other. */
export function parseChallenges(header: string): readonly Challenge[] {
  const challenges: { scheme: string; parameters: Record<string, string> }[] = [];
  const token = /([A-Za-z0-9!#$%&'*+.^_`|~-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?[\s,]*/gy;
  for (const [, name = "", quoted, bare] of header.matchAll(token)) {
    if (quoted === undefined && bare === undefined) challenges.push({ scheme: name.toLowerCase(), parameters: {} });
    else {
      const current = challenges.at(-1);
      if (current !== undefined) current.parameters[name.toLowerCase()] = quoted?.replace(/\\(.)/g, "$1") ?? bare ?? "";
    }
  }
  return challenges;
}

interface Login {
  readonly username: string;
  readonly password: string;
}

export interface Logins {
  /** For the host as it stands in references; a login for a part of its repositories wins over one for all. */
  find(host: string, repository?: string): Login | undefined;
  /** Docker keeps only a refresh token (`identitytoken`) for the host, from a login in a browser. */
  refreshTokenOnly(host: string): boolean;
  /** A credential helper is configured for the host, which kubestick does not run. */
  helper(host: string): string | undefined;
}

/** What docker's and podman's configuration files hold, first file wins. */
export async function loadLogins(environment: NodeJS.ProcessEnv = process.env): Promise<Logins> {
  const home = environment["HOME"] ?? homedir();
  const files = [
    environment["REGISTRY_AUTH_FILE"],
    join(environment["DOCKER_CONFIG"] ?? join(home, ".docker"), "config.json"),
    environment["XDG_RUNTIME_DIR"] === undefined ? undefined : join(environment["XDG_RUNTIME_DIR"], "containers/auth.json"),
  ];
  const auths = new Map<string, Login>();
  const helpers = new Map<string, string>();
  const refreshTokens = new Set<string>();
  let store: string | undefined;
  for (const file of files) {
    if (file === undefined) continue;
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text === undefined) continue;
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (error) {
      throw new KubestickError({ code: "REGISTRY_CONFIG", attempted: `reading registry logins from ${file}`, happened: `The file is not JSON: ${messageOf(error)}.`, next: `Correct the file, or log in again with \`docker login\`.`, cause: error });
    }
    const { auths: given, credHelpers, credsStore } = parsed as { auths?: Record<string, StoredLogin>; credHelpers?: Record<string, string>; credsStore?: string };
    for (const [key, stored] of Object.entries(given ?? {})) {
      const place = placeOf(key);
      const login = loginOf(stored);
      if (login !== undefined && !auths.has(place)) auths.set(place, login);
      else if (login === undefined && stored.identitytoken !== undefined) refreshTokens.add(hostOf(key));
    }
    for (const [host, name] of Object.entries(credHelpers ?? {})) helpers.set(hostOf(host), name);
    store ??= credsStore;
  }
  return {
    find(host, repository = "") {
      const parts = [hostOf(host), ...repository.split("/").filter((part) => part !== "")];
      for (let length = parts.length; length > 0; length--) {
        const login = auths.get(parts.slice(0, length).join("/"));
        if (login !== undefined) return login;
      }
      return undefined;
    },
    refreshTokenOnly: (host) => refreshTokens.has(hostOf(host)),
    helper: (host) => helpers.get(hostOf(host)) ?? store,
  };
}

/** As docker writes it; as a Kubernetes pull secret has it, too. */
interface StoredLogin {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
}

function loginOf({ auth, username, password }: StoredLogin): Login | undefined {
  if (username !== undefined && username !== "" && password !== undefined && password !== "") return { username, password };
  const [name, ...rest] = Buffer.from(auth ?? "", "base64").toString("utf8").split(":");
  const secret = rest.join(":");
  // With a refresh token docker writes a name and nothing behind the colon.
  return name !== undefined && name !== "" && secret !== "" ? { username: name, password: secret } : undefined;
}

/** podman logs in to parts of a registry: `registry.example/team`. Docker's own keys with a version behind the host mean the host. */
function placeOf(key: string): string {
  const [, path = ""] = /^(?:https?:\/\/)?[^/]+\/?(.*)$/.exec(key) ?? [];
  const place = path.replace(/\/+$/, "");
  return place === "" || /^v[12]$/.test(place) ? hostOf(key) : `${hostOf(key)}/${place}`;
}

/** Docker writes keys as `host`, `https://host` and, for its own, `https://index.docker.io/v1/`. */
function hostOf(key: string): string {
  const host = key.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  return host === "index.docker.io" || host === "registry-1.docker.io" ? "docker.io" : host;
}

/** Answers a registry's challenges; keeps tokens for the time of a pack. */
export class RegistryAuth {
  readonly #http: HttpClient;
  readonly #logins: Logins;
  readonly #headers = new Map<string, string>();

  constructor(http: HttpClient, logins: Logins) {
    this.#http = http;
    this.#logins = logins;
  }

  /** Value for `Authorization` that worked before, for the same host and repository. */
  known(host: string, repository: string): string | undefined {
    return this.#headers.get(`${host}/${repository}`);
  }

  /** Value for `Authorization` that answers the challenges of a 401; undefined when we have nothing (more) to say. */
  async answer(host: string, repository: string, headers: readonly string[], signal?: AbortSignal): Promise<string | undefined> {
    const key = `${host}/${repository}`;
    const challenges = headers.flatMap(parseChallenges);
    const login = this.#logins.find(host, repository);
    const bearer = challenges.find(({ scheme, parameters }) => scheme === "bearer" && parameters["realm"] !== undefined);
    let value: string | undefined;
    if (bearer !== undefined) value = await this.#token(host, repository, bearer.parameters, login, signal);
    else if (login !== undefined && challenges.some(({ scheme }) => scheme === "basic")) value = basic(login);
    if (value === undefined) this.#headers.delete(key);
    else this.#headers.set(key, value);
    return value;
  }

  /** The sentence that helps when access stays denied. */
  advice(host: string): string {
    const helper = this.#logins.helper(host);
    if (this.#logins.find(host) !== undefined) return `The login for ${host} was sent; check that it may read this image: \`docker login ${host}\`.`;
    if (this.#logins.refreshTokenOnly(host)) return `Docker has only a refresh token for ${host}, which kubestick does not exchange; log in with a name and a password or an access token: \`docker login -u NAME ${host}\`.`;
    if (helper !== undefined) return `Docker keeps the login for ${host} in docker-credential-${helper}, which kubestick does not run; put it into an "auths" entry of a file named by REGISTRY_AUTH_FILE.`;
    return `Log in first (\`docker login ${host}\` or \`podman login ${host}\`), or check that the image exists.`;
  }

  async #token(host: string, repository: string, parameters: Readonly<Record<string, string>>, login: Login | undefined, signal: AbortSignal | undefined): Promise<string> {
    const realm = parameters["realm"] ?? "";
    if (!URL.canParse(realm)) {
      throw new KubestickError({ code: "REGISTRY_AUTH", attempted: `asking for a token to read ${host}/${repository}`, happened: `The registry names ${JSON.stringify(realm)} as its token server, which is no address.`, next: "Ask whoever runs the registry, or name another way to it with --registry-mirror." });
    }
    const url = new URL(realm);
    if (parameters["service"] !== undefined) url.searchParams.set("service", parameters["service"]);
    url.searchParams.set("scope", parameters["scope"] ?? `repository:${repository}:pull`);
    const fail = (happened: string): KubestickError =>
      new KubestickError({ code: "REGISTRY_AUTH", attempted: `asking ${url.origin} for a token to read ${host}/${repository}`, happened, next: this.advice(host) });
    // A password goes over an unencrypted line only where the registry itself was named that way.
    const exposed = url.protocol === "http:" && !isLoopback(url.hostname) && url.host !== host;
    const response = await this.#http.get(url.href, { headers: login === undefined || exposed ? {} : { authorization: basic(login) }, signal });
    if (response.status !== 200) {
      await response.cancel();
      throw fail(`The token server answered ${response.status}.`);
    }
    const text = await response.text(1024 * 1024);
    let answer: { token?: unknown; access_token?: unknown };
    try {
      answer = JSON.parse(text) as typeof answer;
    } catch {
      throw fail("The token server's answer is not JSON.");
    }
    const token = answer.token ?? answer.access_token;
    if (typeof token !== "string" || token === "") throw fail("The token server's answer has no token.");
    return `Bearer ${token}`;
  }
}

function basic({ username, password }: Login): string {
  return `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;
}
