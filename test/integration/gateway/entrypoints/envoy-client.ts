import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import type { Client, ServiceClientConstructor, ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** Calls the two services of the Envoy listener, as Envoy does. */
export interface EnvoyClient {
  /**
   * Calls `Authorization/Check` and resolves with the status that Envoy would send to its client: 200 if the request is
   * allowed.
   */
  authorize(address: string, method: string, path: string): Promise<number>;
  /** Calls `RateLimitService/ShouldRateLimit` with one descriptor and resolves with the same kind of status. */
  limit(entries: Readonly<Record<string, string>>): Promise<number>;
  close(): void;
}

interface Denial {
  readonly denied_response: { readonly status: { readonly code: number } } | null;
}

interface RateLimitAnswer {
  readonly raw_body: Buffer;
}

export function openEnvoyClient(port: number): EnvoyClient {
  const authorization = clientOf(port, 'authorization.proto', ['auth', 'v3', 'Authorization']);
  const rateLimit = clientOf(port, 'ratelimit.proto', ['ratelimit', 'v3', 'RateLimitService']);
  return { authorize, limit, close };

  async function authorize(address: string, method: string, path: string): Promise<number> {
    const attributes = {
      source: { address: { socket_address: { address } } },
      request: { http: { method, path, headers: {} } },
    };
    const answer = await call<Denial>(authorization, 'check', { attributes });
    return answer.denied_response?.status.code ?? 200;
  }

  async function limit(entries: Readonly<Record<string, string>>): Promise<number> {
    const descriptor = { entries: Object.entries(entries).map(([key, value]) => ({ key, value })) };
    const message = { domain: 'test', descriptors: [descriptor] };
    const { raw_body: body } = await call<RateLimitAnswer>(rateLimit, 'shouldRateLimit', message);
    return body.length === 0 ? 200 : (JSON.parse(body.toString()) as { status: number }).status;
  }

  function close(): void {
    authorization.close();
    rateLimit.close();
  }
}

function clientOf(port: number, file: string, path: readonly string[]): Client {
  const options = { keepCase: true, enums: Number, longs: Number, defaults: true };
  const loaded = loadPackageDefinition(loadSync(`services/gateway/entrypoints/envoy/${file}`, options));
  let node = (loaded['envoy'] as { service: unknown }).service;
  for (const name of path) node = (node as Record<string, unknown>)[name];
  return new (node as ServiceClientConstructor)(`127.0.0.1:${port}`, credentials.createInsecure());
}

type Unary<Answer> = (message: object, done: (error: ServiceError | null, answer: Answer) => void) => void;

function call<Answer>(client: Client, method: string, message: object): Promise<Answer> {
  const invoke = (client as never as Record<string, Unary<Answer>>)[method];
  return new Promise((resolve, reject) => {
    invoke?.call(client, message, (error, answer) => {
      if (error === null) resolve(answer);
      else reject(error);
    });
  });
}
