import { scopeText } from '../../../shared/domain/tenant.ts';
import { hashApiKey } from '../../../shared/identity/api-keys.ts';
import type { CredentialReader } from '../../../shared/identity/credentials.ts';
import type { SessionSource } from '../../../shared/sessions/claims.ts';
import { opensPortal } from './portal-access.ts';

/** The tenant that an API key or a JWT belongs to, or the reason why the credential opens no session. */
export type CredentialReading =
  | {
      readonly kind: 'tenant';
      readonly tenantId: string;
      readonly source: SessionSource;
      readonly expiresAtMs: number;
    }
  /** `status` is 503 if the credential could not be verified, and 403 if its scope does not include the portal. */
  | { readonly kind: 'refused'; readonly status: 401 | 403 | 503; readonly reason: string };

/**
 * Verifies an API key or a JWT in the same way as the gateways. A session ends no later than the credential that
 * opened it.
 */
export async function readCredential(
  text: string,
  reader: CredentialReader,
  address: string,
): Promise<CredentialReading> {
  const credential = text.trim().replace(/^Bearer +/i, '');
  const reading = await reader.read(credential, address);
  switch (reading.kind) {
    case 'refused':
      return {
        kind: 'refused',
        status: reading.rejection.status === 503 ? 503 : 401,
        reason: reading.rejection.detail,
      };
    case 'service':
      return refused('This is the token of a service, which belongs to no tenant.');
    case 'caller': {
      const { tenantId, userId } = reading.claims;
      const scope = reading.apiKey?.scope?.stated ?? null;
      if (!opensPortal(scope)) {
        const reason = `The scope of this API key does not include the portal; the key may do: ${scopeText(scope)}.`;
        return { kind: 'refused', status: 403, reason };
      }
      if (tenantId === null) return refused('This token is valid, but it names no tenant.');
      const source: SessionSource =
        reading.method === 'api_key'
          ? { via: 'api_key', keySha256: hashApiKey(credential) }
          : { via: 'jwt', userId };
      return { kind: 'tenant', tenantId, source, expiresAtMs: reading.untilMs };
    }
  }
}

function refused(reason: string): CredentialReading {
  return { kind: 'refused', status: 401, reason };
}
