import { hash, timingSafeEqual } from 'node:crypto';
import type { Policy } from '../domain/policy.ts';

/** Answers the name of the service whose token this is, or null. */
export type FindService = (token: string) => string | null;

/** Compares digests in constant time, every one of them: neither a match nor its place shows in the time it takes. */
export function createFindService(services: Policy['services']): FindService {
  const known = services.map(({ name, tokenSha256 }) => ({ name, digest: Buffer.from(tokenSha256, 'hex') }));
  return (token) => {
    if (known.length === 0 || token === '') return null;
    const digest = hash('sha256', token, 'buffer');
    let found: string | null = null;
    for (const service of known) {
      if (timingSafeEqual(service.digest, digest)) found = service.name;
    }
    return found;
  };
}
