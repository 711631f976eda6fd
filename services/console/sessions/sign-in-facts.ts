import { isIPv4 } from 'node:net';
import { apiKeyId } from '../../../shared/domain/tenant.ts';
import type { SessionSource, Signed } from '../../../shared/sessions/claims.ts';
import type { OperatorSource } from '../../../shared/sessions/claims.ts';
import type { SignInClient } from '../../../shared/sessions/sessions.ts';
import { addressPart } from '../../../shared/redis/keys.ts';

/** Network and browser of a request, as the audit trail and the lists of sessions state them. */
export function clientOf(address: string, userAgent: string | undefined): SignInClient {
  return { network: networkOf(address), agent: agentText(userAgent ?? '') };
}

/** What the audit trail and the lists of sessions state about a sign-in. */
export interface SignInFacts {
  readonly session?: string;
  /** When the session ends at the latest, ISO 8601. */
  readonly expires_at?: string;
  /** How the session was opened, with the digits of the key or the id of the link. */
  readonly via?: string;
  /** Network of the client: the first three numbers of an IPv4 address, or the /64 of an IPv6 address. */
  readonly network: string;
  /** Browser and system, in a few words. */
  readonly agent: string;
}

/** Facts of a sign-in from this address; `session` is absent if the sign-in was refused. */
export function factsOf(
  address: string,
  userAgent: string | undefined,
  session?: Signed & { readonly source: SessionSource | OperatorSource },
): Readonly<Record<string, string>> {
  const facts: SignInFacts = {
    ...(session === undefined
      ? {}
      : {
          session: session.id,
          expires_at: new Date(session.expiresAtMs).toISOString(),
          via: viaText(session.source),
        }),
    ...clientOf(address, userAgent),
  };
  return { ...facts };
}

export function viaText(source: SessionSource | OperatorSource): string {
  switch (source.via) {
    case 'api_key':
      return `API key ${apiKeyId(source.keySha256)}`;
    case 'link':
      return `link ${source.linkId}`;
    case 'jwt':
      return 'access token';
    case 'admin_token':
      return 'shared admin token';
    case 'token':
      return 'own token';
    case 'oidc':
      return 'single sign-on';
  }
}

function networkOf(address: string): string {
  return isIPv4(address) ? `${address.split('.').slice(0, 3).join('.')}.x` : addressPart(address);
}

const browsers = ['Edg', 'OPR', 'Firefox', 'Chrome', 'Safari', 'curl'];
const browserNames: Readonly<Record<string, string>> = { Edg: 'Edge', OPR: 'Opera' };
const systems = ['Android', 'iPhone', 'iPad', 'Windows', 'Mac OS', 'CrOS', 'Linux'];

function agentText(userAgent: string): string {
  const browser = browsers.find((name) => userAgent.includes(`${name}/`));
  const system = systems.find((name) => userAgent.includes(name));
  if (browser === undefined) return 'another program';
  const name = browserNames[browser] ?? browser;
  return system === undefined ? name : `${name} on ${system}`;
}
