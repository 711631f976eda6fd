import { calculateJwkThumbprint, createLocalJWKSet } from 'jose';
import type { CryptoKey, FlattenedJWSInput, JWK, JWSHeaderParameters } from 'jose';
import { messageOf } from '../runtime/errors.ts';

/** Imports the key of one JWK for the header of a token; rejects if the JWK does not fit the header. */
type ResolveKey = (header: JWSHeaderParameters, token?: FlattenedJWSInput) => Promise<CryptoKey>;

/** A public key that the issuer publishes. */
export interface PublishedKey {
  /** A text that is equal for equal keys, in any notation of the JWK. */
  readonly identity: string;
  readonly kid: string | null;
  readonly resolve: ResolveKey;
}

/** Why keys could not be fetched. The value is a label of a metric. */
export type FetchFailure = 'unreachable' | 'timeout' | 'status' | 'too_large' | 'invalid';

export type FetchedKeys =
  { readonly keys: readonly PublishedKey[] } | { readonly failure: FetchFailure; readonly detail: string };

const timeoutMs = 3_000;
const bytesMax = 512 * 1024;
const keysMax = 100;
/** Longest key id that is searched for. */
export const kidLengthMax = 256;

/**
 * Fetches a JWKS within bounds of time and bytes. A response without a usable key for `algorithms` is a failure:
 * otherwise a broken endpoint would have the effect of revoking all keys. Redirects are not followed.
 */
export async function fetchKeys(url: string, algorithms: readonly string[]): Promise<FetchedKeys> {
  let text: string;
  try {
    const response = await fetch(url, {
      headers: { accept: 'application/jwk-set+json, application/json' },
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      return { failure: 'status', detail: `responded with ${response.status}` };
    }
    const read = await readBounded(response);
    if (read === null) return { failure: 'too_large', detail: `sent more than ${bytesMax} bytes` };
    text = read;
  } catch (error) {
    return error instanceof Error && error.name === 'TimeoutError'
      ? { failure: 'timeout', detail: `did not respond within ${timeoutMs} ms` }
      : { failure: 'unreachable', detail: reasonOf(error) };
  }
  const keys = await readKeys(text, algorithms);
  return keys.length === 0
    ? { failure: 'invalid', detail: `responded without a key for ${algorithms.join(', ')}` }
    : { keys };
}

async function readBounded(response: Response): Promise<string | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.length;
    if (bytes > bytesMax) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** Returns the usable keys of a response; none if the response is not a JWKS. */
async function readKeys(text: string, algorithms: readonly string[]): Promise<PublishedKey[]> {
  const jwks = parse(text);
  const found = await Promise.all(jwks.slice(0, keysMax).map((jwk) => readKey(jwk, algorithms)));
  return found.filter((key) => key !== null);
}

function parse(text: string): readonly unknown[] {
  try {
    const value = JSON.parse(text) as { readonly keys?: unknown } | null;
    return Array.isArray(value?.keys) ? value.keys : [];
  } catch {
    return [];
  }
}

/**
 * Returns null for a JWK that cannot verify tokens: a key for another use, of another type, private, symmetric, or
 * invalid.
 */
async function readKey(jwk: unknown, algorithms: readonly string[]): Promise<PublishedKey | null> {
  if (typeof jwk !== 'object' || jwk === null || 'd' in jwk || 'k' in jwk) return null;
  const { kid, alg, use } = jwk as JWK;
  if (kid !== undefined && (typeof kid !== 'string' || kid.length > kidLengthMax)) return null;
  try {
    const resolve = createLocalJWKSet({ keys: [jwk] });
    const usable = await Promise.any(
      algorithms.map(async (algorithm) => strong(await resolve({ alg: algorithm, ...named(kid) }))),
    );
    if (!usable) return null;
    const identity = [await calculateJwkThumbprint(jwk), kid, alg, use].join(' ');
    return { identity, kid: kid ?? null, resolve };
  } catch {
    return null;
  }
}

function named(kid: string | undefined): { readonly kid?: string } {
  return kid === undefined ? {} : { kid };
}

const rsaBitsMin = 2_048;

function strong({ algorithm }: CryptoKey): boolean {
  return !('modulusLength' in algorithm) || Number(algorithm.modulusLength) >= rsaBitsMin;
}

/** The message of an error of `fetch` is only "fetch failed"; the reason is in its cause. */
function reasonOf(error: unknown): string {
  return messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
}
