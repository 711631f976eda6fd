import { hash, timingSafeEqual } from 'node:crypto';
import type { Policy } from '../domain/policy.ts';

/** Returns the name of the service to which the token belongs, or null. */
export type FindService = (token: string) => string | null;

/**
 * Compares the token with the digests of all services in constant time, so that the duration reveals neither a match
 * nor its position.
 */
export function createFindService(services: Policy['services']): FindService {
  const digests = services.map(({ name, tokenSha256 }) => ({
    name,
    digest: Buffer.from(tokenSha256, 'hex'),
  }));
  return (token) => {
    if (digests.length === 0 || token === '') return null;
    const digest = hash('sha256', token, 'buffer');
    let found: string | null = null;
    for (const service of digests) {
      if (timingSafeEqual(service.digest, digest)) found = service.name;
    }
    return found;
  };
}
