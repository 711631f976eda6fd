import type { status } from '@grpc/grpc-js';

/**
 * Messages of Envoy's services as the protobuf loader returns them: absent messages and absent wrapped numbers are
 * null.
 */

/** The message `RateLimitRequest`. */
export interface RateLimitRequest {
  readonly domain: string;
  readonly descriptors: readonly Descriptor[];
  readonly hits_addend: number;
}

export interface Descriptor {
  readonly entries: readonly { readonly key: string; readonly value: string }[];
  readonly limit: {
    readonly requests_per_unit: number;
    readonly unit: string;
    readonly unit_multiplier: { readonly value: number } | null;
  } | null;
  readonly hits_addend: { readonly value: number } | null;
  readonly is_negative_hits: boolean;
}

/** `CheckRequest`. */
export interface CheckRequest {
  readonly attributes: {
    readonly source: {
      readonly address: { readonly socket_address: { readonly address: string } | null } | null;
    } | null;
    readonly request: { readonly http: HttpRequest | null } | null;
  } | null;
}

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly header_map: { readonly headers: readonly HeaderValue[] } | null;
}

interface HeaderValue {
  readonly key: string;
  readonly value: string;
  readonly raw_value: Buffer;
}

/** Response to a call: a message, or a gRPC status code with a sentence for the caller. */
export type GrpcResponse = { readonly message: object } | { readonly code: status; readonly details: string };
