import { fileURLToPath } from 'node:url';
import { Server, ServerCredentials, loadPackageDefinition, status } from '@grpc/grpc-js';
import type { ServiceDefinition, ServerUnaryCall, sendUnaryData } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { messageOf } from '../../../shared/runtime/errors.ts';
import { authorityOf } from '../../../shared/runtime/http/listen-address.ts';
import type { Enforcer } from '../enforcer/enforcer.ts';
import { authorize } from '../entrypoints/envoy/authorization.ts';
import type { CheckRequest, GrpcResponse, RateLimitRequest } from '../entrypoints/envoy/messages.ts';
import { limitRate } from '../entrypoints/envoy/rate-limit.ts';

export interface EnvoyOptions {
  readonly enforcer: Enforcer;
  readonly host: string;
  readonly port: number;
  /** Longest time in milliseconds that a rate limit call waits for Redis; after it, this node decides alone. */
  readonly rateLimitWaitMsMax: number;
}

export interface EnvoyServer {
  readonly port: number;
  close(): Promise<void>;
}

type Handler<Request> = (request: Request) => Promise<GrpcResponse>;

const messageBytesMax = 256 * 1024;
const closeGraceMs = 2_000;

/**
 * Starts a gRPC server with two services of Envoy on one port: `envoy.service.ratelimit.v3.RateLimitService`, whose
 * callers are trusted to name the tenant and the user in descriptors, and `envoy.service.auth.v3.Authorization`, which
 * verifies the client's own credentials. For private networks only: every process that can connect to the port can
 * charge units to any tenant.
 */
export async function listenEnvoy(options: EnvoyOptions): Promise<EnvoyServer> {
  const { enforcer, host, port, rateLimitWaitMsMax } = options;
  const server = new Server({ 'grpc.max_receive_message_length': messageBytesMax });
  server.addService(serviceOf('ratelimit.proto', ['ratelimit', 'v3', 'RateLimitService']), {
    shouldRateLimit: unary(enforcer, (request: RateLimitRequest) =>
      limitRate(enforcer, request, rateLimitWaitMsMax),
    ),
  });
  server.addService(serviceOf('authorization.proto', ['auth', 'v3', 'Authorization']), {
    check: unary(enforcer, (request: CheckRequest) => authorize(enforcer, request)),
  });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(authorityOf(host, port), ServerCredentials.createInsecure(), (error, at) => {
      if (error === null) resolve(at);
      else reject(error);
    });
  });
  return { port: bound, close: () => closeServer(server) };
}

function unary<Request>(enforcer: Enforcer, handle: Handler<Request>) {
  return (call: ServerUnaryCall<Request, object>, respond: sendUnaryData<object>): void => {
    handle(call.request).then(
      (response) => {
        if ('message' in response) respond(null, response.message);
        else respond(response);
      },
      (error: unknown) => {
        enforcer.logger.error({ err: error }, `a call of Envoy failed: ${messageOf(error)}`);
        respond({
          code: status.INTERNAL,
          details: 'The decision failed; the log of the gateway has the reason.',
        });
      },
    );
  };
}

function serviceOf(file: string, path: readonly string[]): ServiceDefinition {
  const definition = loadSync(fileURLToPath(new URL(`../entrypoints/envoy/${file}`, import.meta.url)), {
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
  });
  let node: unknown = (loadPackageDefinition(definition)['envoy'] as { service: unknown }).service;
  for (const name of path) node = (node as Record<string, unknown>)[name];
  return (node as { service: ServiceDefinition }).service;
}

/** Lets calls in progress finish; connections that are still open after `closeGraceMs` are closed. */
async function closeServer(server: Server): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, closeGraceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
