import * as oidc from 'openid-client';
import { hasRole, isOperatorName, roles } from '../../../../shared/domain/operators/operator.ts';
import type { Operator, Role } from '../../../../shared/domain/operators/operator.ts';
import type { Logger } from '../../../../shared/runtime/logger.ts';
import type { OidcSettings } from './settings.ts';

/** What the browser keeps between the start of a sign-in and its end. It binds the sign-in to this browser. */
export interface PendingSignIn {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
}

/** Result of a sign-in, or the reason of its refusal in a sentence for the person. */
export type SignInResult =
  | { readonly ok: true; readonly operator: Operator }
  | { readonly ok: false; readonly status: 401 | 403 | 503; readonly reason: string };

/** Sign-in by an OpenID provider: authorization code with PKCE, state and nonce. */
export interface SingleSignOn {
  /** The address of the provider to which the browser is sent; null if the provider does not answer. */
  begin(): Promise<{ readonly address: string; readonly pending: PendingSignIn } | null>;
  /** Ends the sign-in with the query of the callback. `pending` is null if the browser has no pending sign-in. */
  finish(query: string, pending: PendingSignIn | null): Promise<SignInResult>;
  /** Address that ends the session at the provider; null if the provider has none. */
  endAddress(): Promise<string | null>;
}

export interface SingleSignOnOptions {
  readonly settings: OidcSettings;
  /** URL of the console for browsers, without a slash at its end. */
  readonly publicUrl: () => string;
  readonly logger: Logger;
}

const timeoutSeconds = 5;
/** After this time the description of the provider is read again, so that it can be changed. */
const discoveryTtlMs = 3_600_000;
/** After a failure the description is not read again for this time, so that requests do not wait for a provider that is down. */
const failurePauseMs = 5_000;

export const callbackPath = '/operator/oidc/callback';

export function createSingleSignOn({ settings, publicUrl, logger }: SingleSignOnOptions): SingleSignOn {
  let known: { readonly config: oidc.Configuration; readonly readAtMs: number } | null = null;
  let reading: Promise<oidc.Configuration | null> | null = null;
  let failedAtMs = -Infinity;

  return { begin, finish, endAddress };

  async function begin() {
    const config = await discover();
    if (config === null) return null;
    const pending = {
      state: oidc.randomState(),
      nonce: oidc.randomNonce(),
      codeVerifier: oidc.randomPKCECodeVerifier(),
    };
    const address = oidc.buildAuthorizationUrl(config, {
      redirect_uri: publicUrl() + callbackPath,
      scope: settings.scopes,
      state: pending.state,
      nonce: pending.nonce,
      code_challenge: await oidc.calculatePKCECodeChallenge(pending.codeVerifier),
      code_challenge_method: 'S256',
    });
    return { address: address.href, pending };
  }

  async function finish(query: string, pending: PendingSignIn | null): Promise<SignInResult> {
    if (pending === null)
      return refusal(
        401,
        'This sign-in was not started in this browser, or took too long. Please try again.',
      );
    const config = await discover();
    if (config === null) return unavailable;
    try {
      const tokens = await oidc.authorizationCodeGrant(
        config,
        new URL(`${publicUrl()}${callbackPath}?${query}`),
        {
          expectedState: pending.state,
          expectedNonce: pending.nonce,
          pkceCodeVerifier: pending.codeVerifier,
          idTokenExpected: true,
        },
      );
      const claims = tokens.claims();
      if (claims === undefined) return refusal(401, 'The identity provider sent no identity.');
      const own: Claims =
        valueAt(claims, settings.rolesClaim) === undefined &&
        config.serverMetadata().userinfo_endpoint !== undefined
          ? { ...claims, ...(await oidc.fetchUserInfo(config, tokens.access_token, claims.sub)) }
          : claims;
      return operatorOf(settings, own);
    } catch (error) {
      return refusalOf(error);
    }
  }

  async function endAddress(): Promise<string | null> {
    const config = await discover();
    if (config?.serverMetadata().end_session_endpoint === undefined) return null;
    return oidc.buildEndSessionUrl(config, { post_logout_redirect_uri: `${publicUrl()}/operator` }).href;
  }

  /** The description of the provider. Concurrent calls share one request to the provider. */
  async function discover(): Promise<oidc.Configuration | null> {
    const nowMs = performance.now();
    if (known !== null && nowMs - known.readAtMs < discoveryTtlMs) return known.config;
    if (nowMs - failedAtMs < failurePauseMs) return known?.config ?? null;
    reading ??= readDescription().finally(() => (reading = null));
    return await reading;
  }

  /** Reads the description of the provider (`.well-known/openid-configuration`). */
  async function readDescription(): Promise<oidc.Configuration | null> {
    const { issuer, clientId, clientSecret } = settings;
    try {
      const config = await oidc.discovery(
        issuer,
        clientId,
        undefined,
        clientSecret === '' ? oidc.None() : oidc.ClientSecretPost(clientSecret),
        {
          timeout: timeoutSeconds,
          // The signature of the identity is verified by the provider's keys, in addition to TLS.
          execute: [
            oidc.enableNonRepudiationChecks,
            // The settings accept an issuer without TLS on a loopback address only.
            // eslint-disable-next-line @typescript-eslint/no-deprecated -- marked only so that it stands out
            ...(issuer.protocol === 'http:' ? [oidc.allowInsecureRequests] : []),
          ],
        },
      );
      known = { config, readAtMs: performance.now() };
      return config;
    } catch (error) {
      failedAtMs = performance.now();
      logger.warn({ err: error, issuer: issuer.href }, 'the OpenID provider does not answer');
      return known?.config ?? null;
    }
  }

  function refusalOf(error: unknown): SignInResult {
    logger.info({ err: error }, 'a sign-in by the OpenID provider was refused');
    if (error instanceof oidc.AuthorizationResponseError)
      return refusal(401, `The identity provider refused the sign-in: ${printable(error.error)}.`);
    if (error instanceof oidc.ResponseBodyError)
      return refusal(
        401,
        'The identity provider did not accept this sign-in. It may have been used before; please try again.',
      );
    if (error instanceof oidc.ClientError && error.code === 'OAUTH_TIMEOUT') return unavailable;
    return refusal(
      401,
      'The answer of the identity provider is not valid for this sign-in. Please try again.',
    );
  }
}

type Claims = Readonly<Record<string, unknown>>;

/** The operator of verified claims. */
export function operatorOf(settings: OidcSettings, claims: Claims): SignInResult {
  const { allowedDomains, roleOfGroup, rolesClaim } = settings;
  const email = typeof claims['email'] === 'string' ? claims['email'] : '';
  if (allowedDomains.length > 0) {
    const domain = email.slice(email.lastIndexOf('@') + 1).toLowerCase();
    if (claims['email_verified'] !== true || !email.includes('@') || !allowedDomains.includes(domain))
      return refusal(
        403,
        'Your e-mail address is not verified, or is not of a domain that may sign in here.',
      );
  }
  const groups = [valueAt(claims, rolesClaim)].flat();
  const held = groups.flatMap((group): Role[] => {
    const role = typeof group === 'string' ? roleOfGroup.get(group) : undefined;
    return role === undefined ? [] : [role];
  });
  const role = roles.findLast((one) => held.some((other) => hasRole(other, one)));
  if (role === undefined)
    return refusal(
      403,
      'You are signed in at the identity provider, but none of your groups has a role here.',
    );
  // Persons can often edit other claims themselves, such as `preferred_username`, so only these two name the actor.
  const name = [claims['email_verified'] === true ? email : null, claims['sub']].find(
    (one): one is string => typeof one === 'string' && isOperatorName(one),
  );
  if (name === undefined) return refusal(403, 'The identity provider states no name that can be recorded.');
  return { ok: true, operator: { name, role } };
}

function valueAt(claims: Claims, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, name) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, name)
        ? (value as Claims)[name]
        : undefined,
    claims,
  );
}

function printable(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, '').slice(0, 100);
}

const unavailable: SignInResult = {
  ok: false,
  status: 503,
  reason: 'The identity provider does not answer. Try again in a moment.',
};

function refusal(status: 401 | 403, reason: string): SignInResult {
  return { ok: false, status, reason };
}
