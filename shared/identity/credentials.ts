import type { JwtPolicy, Policy } from '../domain/policy.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Registry } from '../runtime/http/ops.ts';
import { apiKeyPrefix, createApiKeys } from './api-keys.ts';
import type { KeyDirectory } from './api-keys.ts';
import { createKeySets } from './key-sets.ts';
import { createIdentityMetrics, registerKeyGauges } from './metrics.ts';
import type { CredentialReading, RefusedReading } from './credential-reading.ts';
import { badCredential } from './credential-reading.ts';
import { createFindService } from './service-tokens.ts';
import type { FindService } from './service-tokens.ts';
import { createTokens } from './tokens.ts';
import type { Admission, Tokens } from './tokens.ts';

/** Reads credentials under one policy. */
export interface CredentialReader {
  /**
   * Reads a JWT, an API key or a service token that came from `address`. Returns a promise only if a signature has to
   * be verified.
   */
  read(credential: string, address: string): CredentialReading | Promise<CredentialReading>;
  findService: FindService;
}

/** Credential readers of one process. When the policy changes, fetched keys stay in memory. */
export interface Credentials {
  /** Returns the reader for a policy. A new policy starts with an empty cache of verified tokens. */
  under(policy: Policy): CredentialReader;
  /** Stops fetching keys. */
  close(): void;
}

export interface CredentialsOptions {
  /**
   * The policy in force. Its public keys are fetched at the start and after each edit, before a credential needs them.
   */
  readonly policy: () => Policy;
  readonly directory: KeyDirectory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Decides whether a signature may be verified. If this function is absent, every signature is verified. */
  readonly admission?: Admission;
}

const credentialLengthMax = 8_192;
const admitAll: Admission = () => null;

/**
 * Creates the credential readers. The gateway and the sign-in of the portal both use them, so that a credential is the
 * same caller in both.
 */
export function createCredentials(options: CredentialsOptions): Credentials {
  const { policy: running, directory, clock, logger, registry, admission = admitAll } = options;
  const metrics = createIdentityMetrics(registry);
  const keySets = createKeySets({ clock, logger, metrics });
  const apiKeys = createApiKeys(directory, clock);
  let latest: { readonly policy: Policy; readonly reader: CredentialReader } | null = null;
  under(running());
  registerKeyGauges(registry, () => {
    under(running());
    return keySets.current();
  });
  return { under, close: () => keySets.pause() };

  function under(policy: Policy): CredentialReader {
    if (latest?.policy !== policy) latest = { policy, reader: createReader(policy) };
    return latest.reader;
  }

  function createReader({ identity: { jwt }, services }: Policy): CredentialReader {
    const tokens = jwt === null ? noTokens() : tokensUnder(jwt);
    const serviceOf = createFindService(services);
    const findService: FindService = (token) =>
      token.length > credentialLengthMax ? null : serviceOf(token);
    return {
      findService,
      read: (credential, address) => {
        if (credential.length > credentialLengthMax) return tooLong;
        if (credential.startsWith(apiKeyPrefix)) return apiKeys.read(credential);
        const verified = tokens?.verified(credential) ?? null;
        if (verified !== null) return verified;
        const name = serviceOf(credential);
        if (name !== null) return { kind: 'service', name };
        return tokens === null ? notAccepted : tokens.read(credential, address);
      },
    };
  }

  function noTokens(): null {
    keySets.pause();
    return null;
  }

  function tokensUnder(policy: JwtPolicy): Tokens {
    const { keys, algorithms } = policy;
    const common = { policy, admission, clock, metrics };
    if (keys.kind === 'jwks') return createTokens({ ...common, keySet: keySets.use(keys, algorithms) });
    keySets.pause();
    return createTokens({ ...common, keySet: null });
  }
}

const tooLong: RefusedReading = {
  kind: 'refused',
  rejection: badCredential(`The credential is longer than ${credentialLengthMax} characters.`),
};
const notAccepted: RefusedReading = {
  kind: 'refused',
  rejection: badCredential('Tokens are not accepted here; use an API key.'),
};
