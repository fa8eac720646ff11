/** A gRPC server on a unix socket that answers CRI calls from a table: for runtimes that are not at hand. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type handleUnaryCall, Server, ServerCredentials, type ServiceDefinition, status, type UntypedServiceImplementation } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { criProto } from "../../src/runtime/cri-proto.ts";

export type Answer = (request: Record<string, unknown>) => object;

export interface FakeRuntime {
  readonly socket: string;
  stop(): Promise<void>;
}

export function temporarySocket(): { readonly path: string; readonly socket: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), "kubestick-cri-"));
  const path = join(directory, "cri.sock");
  return { path, socket: `unix://${path}`, remove: () => rmSync(directory, { recursive: true, force: true }) };
}

/** Methods without an answer are UNIMPLEMENTED, as with an older runtime. */
export async function fakeRuntime(answers: Readonly<Record<string, Answer>>, at?: { readonly socket: string; remove(): void }): Promise<FakeRuntime> {
  const root = new protobuf.Root();
  protobuf.parse(criProto, root);
  root.resolveAll();
  const server = new Server();
  for (const name of ["runtime.v1.RuntimeService", "runtime.v1.ImageService"]) {
    const definition: Record<string, unknown> = {};
    const handlers: UntypedServiceImplementation = {};
    for (const method of root.lookupService(name).methodsArray) {
      const answer = answers[method.name];
      if (answer === undefined) continue;
      const [request, response] = [method.resolvedRequestType as protobuf.Type, method.resolvedResponseType as protobuf.Type];
      definition[method.name] = {
        path: `/${name}/${method.name}`,
        requestStream: false,
        responseStream: false,
        requestDeserialize: (bytes: Buffer) => request.toObject(request.decode(bytes), { longs: Number, enums: String, defaults: true }),
        requestSerialize: (message: object) => Buffer.from(request.encode(request.fromObject(message)).finish()),
        responseSerialize: (message: object) => Buffer.from(response.encode(response.fromObject(message)).finish()),
        responseDeserialize: (bytes: Buffer) => response.decode(bytes),
      };
      handlers[method.name] = ((call, done) => {
        try {
          done(null, answer(call.request));
        } catch (error) {
          done({ code: (error as { code?: status }).code ?? status.UNKNOWN, details: (error as Error).message });
        }
      }) satisfies handleUnaryCall<Record<string, unknown>, object>;
    }
    if (Object.keys(handlers).length > 0) server.addService(definition as ServiceDefinition, handlers);
  }
  const { socket, remove } = at ?? temporarySocket();
  await new Promise<void>((resolve, reject) => server.bindAsync(socket, ServerCredentials.createInsecure(), (error) => (error === null ? resolve() : reject(error))));
  return {
    socket,
    stop: async () => {
      server.forceShutdown();
      remove();
    },
  };
}

export function grpcError(code: number, message: string): Error {
  return Object.assign(new Error(message), { code });
}
