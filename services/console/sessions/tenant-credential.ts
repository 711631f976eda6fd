import { hashApiKey } from '../../../shared/identity/api-keys.ts';
import type { CredentialReader } from '../../../shared/identity/credentials.ts';
import type { SessionSource } from './signed.ts';

export type Credential =
  | {
      readonly kind: 'tenant';
      readonly tenantId: string;
      readonly source: SessionSource;
      readonly expiresAtMs: number;
    }
  /** `status` 503 where it could not be found out whose it is. */
  | { readonly kind: 'refused'; readonly status: 401 | 503; readonly reason: string };

/** Whose API key or JWT this is, as the gateways read it. A session never outlives the credential it began with. */
export async function readCredential(
  text: string,
  reader: CredentialReader,
  address: string,
): Promise<Credential> {
  const credential = text.trim().replace(/^Bearer +/i, '');
  const reading = await reader.read(credential, address);
  switch (reading.kind) {
    case 'refused':
      return {
        kind: 'refused',
        status: reading.refusal.status === 503 ? 503 : 401,
        reason: reading.refusal.detail,
      };
    case 'service':
      return refusedFor('This is the token of a service, which belongs to no tenant.');
    case 'caller': {
      const { tenantId } = reading.claims;
      if (tenantId === null) return refusedFor('This token is valid, but it names no tenant.');
      const source: SessionSource =
        reading.method === 'api_key' ? { via: 'api_key', keySha256: hashApiKey(credential) } : { via: 'jwt' };
      return { kind: 'tenant', tenantId, source, expiresAtMs: reading.untilMs };
    }
  }
}

function refusedFor(reason: string): Credential {
  return { kind: 'refused', status: 401, reason };
}
