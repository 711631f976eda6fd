import { calculateJwkThumbprint, createLocalJWKSet } from 'jose';
import type { CryptoKey, FlattenedJWSInput, JWK, JWSHeaderParameters } from 'jose';
import { messageOf } from '../runtime/errors.ts';

/** Finds the key of one JWK for a token's header; rejects where the JWK is not for it. */
type ResolveKey = (header: JWSHeaderParameters, token?: FlattenedJWSInput) => Promise<CryptoKey>;

/** A public key as published. */
export interface PublishedKey {
  /** The same for the same key, however its JWK is written. */
  readonly identity: string;
  readonly kid: string | null;
  readonly resolve: ResolveKey;
}

/** Why a set of keys could not be had, as the label of a metric. */
export type FetchFailure = 'unreachable' | 'timeout' | 'status' | 'too_large' | 'invalid';

export type FetchedKeys =
  { readonly keys: readonly PublishedKey[] } | { readonly failure: FetchFailure; readonly detail: string };

const timeoutMs = 3_000;
const bytesMax = 512 * 1024;
const keysMax = 100;
/** Longer key ids are never known. */
export const kidLengthMax = 256;

/**
 * Fetches a JWKS within a bound of time and of bytes. An answer without one key that verifies a token of `algorithms` is
 * a failure: a broken endpoint must never look like a revocation of every key. Redirects are not followed.
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
      return { failure: 'status', detail: `answered ${response.status}` };
    }
    const read = await readBounded(response);
    if (read === null) return { failure: 'too_large', detail: `sent more than ${bytesMax} bytes` };
    text = read;
  } catch (error) {
    return error instanceof Error && error.name === 'TimeoutError'
      ? { failure: 'timeout', detail: `did not answer within ${timeoutMs} ms` }
      : { failure: 'unreachable', detail: reasonOf(error) };
  }
  const keys = await readKeys(text, algorithms);
  return keys.length === 0
    ? { failure: 'invalid', detail: `answered without a key for ${algorithms.join(', ')}` }
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

/** The usable keys among what was answered; none where it is no JWKS at all. */
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

/** Null for what cannot verify a token: another use, another kind of key, a private or a shared one, a broken one. */
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

/** What `fetch` says is "fetch failed"; the reason is its cause. */
function reasonOf(error: unknown): string {
  return messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error);
}
