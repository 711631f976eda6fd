import { Metadata, credentials, loadPackageDefinition } from '@grpc/grpc-js';
import type { ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

/** The parts of the response of Envoy's rate limit service that tests read. */
export interface RlsResponse {
  readonly overall_code: string;
  readonly response_headers_to_add: readonly { readonly key: string; readonly value: string }[];
  readonly raw_body: Buffer;
}

export interface RlsClient {
  shouldRateLimit(request: object): Promise<RlsResponse>;
  close(): void;
}

type Call = (
  request: object,
  metadata: Metadata,
  done: (error: Error | null, response: RlsResponse) => void,
) => void;

/** Calls Envoy's rate limit service, as Envoy does. */
export function openRlsClient(port: number): RlsClient {
  const proto = loadPackageDefinition(
    loadSync('services/gateway/entrypoints/envoy/ratelimit.proto', {
      keepCase: true,
      enums: String,
      longs: Number,
      defaults: true,
    }),
  );
  const Service = (
    proto as never as {
      envoy: { service: { ratelimit: { v3: { RateLimitService: ServiceClientConstructor } } } };
    }
  ).envoy.service.ratelimit.v3.RateLimitService;
  const client = new Service(`127.0.0.1:${port}`, credentials.createInsecure());
  return {
    shouldRateLimit: (request) =>
      new Promise((resolve, reject) => {
        const method = (client as unknown as Record<string, Call>)['ShouldRateLimit'];
        method?.call(client, request, new Metadata(), (error, response) => {
          if (error === null) resolve(response);
          else reject(error);
        });
      }),
    close: () => client.close(),
  };
}
