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
  /** What a call of the rate limit service waits for Redis before this node decides by itself. */
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
 * Envoy's two gRPC services on one port: `envoy.service.ratelimit.v3.RateLimitService`, where Envoy vouches for what its
 * descriptors say, and `envoy.service.auth.v3.Authorization`, where the client's own credentials are verified here.
 * For private networks: whoever reaches the port can spend any tenant's units.
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
  return (call: ServerUnaryCall<Request, object>, answer: sendUnaryData<object>): void => {
    handle(call.request).then(
      (made) => {
        if ('message' in made) answer(null, made.message);
        else answer(made);
      },
      (error: unknown) => {
        enforcer.logger.error({ err: error }, `a call of Envoy failed: ${messageOf(error)}`);
        answer({ code: status.INTERNAL, details: 'The decision failed; the log of the gateway says why.' });
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

/** Calls under way finish; connections that do not end by themselves are cut. */
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
