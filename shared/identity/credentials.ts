import type { JwtPolicy, Policy } from '../domain/policy.ts';
import type { Clock } from '../runtime/time/clock.ts';
import type { Logger } from '../runtime/logger.ts';
import type { Registry } from '../runtime/http/ops.ts';
import { apiKeyPrefix, createApiKeys } from './api-keys.ts';
import type { KeyDirectory } from './api-keys.ts';
import { createKeySets } from './key-sets.ts';
import { createIdentityMetrics, registerKeyGauges } from './metrics.ts';
import type { CredentialReading, RefusedReading } from './reading.ts';
import { badCredential } from './refusal.ts';
import { createFindService } from './service-tokens.ts';
import type { FindService } from './service-tokens.ts';
import { createTokens } from './tokens.ts';
import type { Admission, Tokens } from './tokens.ts';

/** Reads credentials under one policy. */
export interface CredentialReader {
  /** A JWT, an API key or a service token, sent from `address`. Answers at once unless a token has to be verified anew. */
  read(credential: string, address: string): CredentialReading | Promise<CredentialReading>;
  findService: FindService;
}

/** What reads credentials in one process; the keys it has fetched outlive a change of the policy. */
export interface Credentials {
  /** The same reader for the same policy; a new policy forgets what was verified under the one before. */
  under(policy: Policy): CredentialReader;
  /** Fetches no keys any more. */
  close(): void;
}

export interface CredentialsOptions {
  /** The running policy: its keys are fetched from the start, and after an edit before a credential asks for them. */
  readonly policy: () => Policy;
  readonly directory: KeyDirectory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: Registry;
  /** Absent: every signature is checked. */
  readonly admission?: Admission;
}

const credentialLengthMax = 8_192;
const admitAll: Admission = () => null;

/** The one way to read a credential: the gateway's entrypoints and the portal's sign-in use it. */
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
  return { under, close: () => keySets.rest() };

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
        const known = tokens?.known(credential) ?? null;
        if (known !== null) return known;
        const name = serviceOf(credential);
        if (name !== null) return { kind: 'service', name };
        return tokens === null ? notAccepted : tokens.read(credential, address);
      },
    };
  }

  function noTokens(): null {
    keySets.rest();
    return null;
  }

  function tokensUnder(policy: JwtPolicy): Tokens {
    const { keys, algorithms } = policy;
    const common = { policy, admission, clock, metrics };
    if (keys.kind === 'jwks') return createTokens({ ...common, keySet: keySets.use(keys, algorithms) });
    keySets.rest();
    return createTokens({ ...common, keySet: null });
  }
}

const tooLong: RefusedReading = {
  kind: 'refused',
  refusal: badCredential(`The credential is longer than ${credentialLengthMax} characters.`),
};
const notAccepted: RefusedReading = {
  kind: 'refused',
  refusal: badCredential('Tokens are not accepted here; use an API key.'),
};
