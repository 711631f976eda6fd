import { credentials, loadPackageDefinition } from '@grpc/grpc-js';
import type { Client, ServiceClientConstructor, ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** Response of the rate limit service. */
export interface CallResult {
  readonly overall_code: 'OK' | 'OVER_LIMIT';
  readonly statuses: readonly {
    readonly code: string;
    readonly limit_remaining: number;
    readonly current_limit: {
      readonly name: string;
      readonly requests_per_unit: number;
      readonly unit: string;
    } | null;
  }[];
  readonly raw_body: Buffer;
}

export interface RateLimitClient {
  call(request: object): Promise<CallResult>;
  close(): void;
}

/** A client of `envoy.service.ratelimit.v3.RateLimitService`. */
export function rateLimitClient(port: number): RateLimitClient {
  const loaded = loadPackageDefinition(
    loadSync('services/gateway/entrypoints/envoy/ratelimit.proto', {
      ...{ keepCase: true, enums: String, longs: Number, defaults: true },
    }),
  ) as never as { envoy: { service: { ratelimit: { v3: { RateLimitService: ServiceClientConstructor } } } } };
  const { RateLimitService } = loaded.envoy.service.ratelimit.v3;
  const client: Client = new RateLimitService(`127.0.0.1:${port}`, credentials.createInsecure());
  const { shouldRateLimit } = client as never as {
    shouldRateLimit: (
      message: object,
      done: (error: ServiceError | null, answer: CallResult) => void,
    ) => void;
  };
  return {
    call: (request) =>
      new Promise((resolve, reject) => {
        shouldRateLimit.call(client, { domain: 'test', ...request }, (error, answer) => {
          if (error === null) resolve(answer);
          else reject(error);
        });
      }),
    close: () => client.close(),
  };
}

/** A descriptor with these entries. */
export function described(entries: Readonly<Record<string, string>>, terms: object = {}): object {
  return { entries: Object.entries(entries).map(([key, value]) => ({ key, value })), ...terms };
}
