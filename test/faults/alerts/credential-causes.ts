import { readFile, writeFile } from 'node:fs/promises';
import { eventually, uniqueName } from '../../support/servers.ts';
import { startIssuer } from '../../unit/identity/issuer.ts';
import type { Issuer } from '../../unit/identity/issuer.ts';
import type { Cause } from './cause.ts';
import type { AlertFixture } from './fixture.ts';
import { repeatWork } from './load.ts';

/** Faults of an issuer of tokens. */
export const credentialCauses: readonly Cause[] = [
  {
    title: 'an issuer of tokens whose keys cannot be fetched',
    alerts: ['TollgateJwksStale'],
    thresholdSeconds: 180,
    cause: async (fixture) => {
      const { issuer, statusWith, restore } = await useIssuer(fixture);
      issuer.behave('fails');
      // Tokens that are signed with an already fetched key stay valid.
      if ((await statusWith('a')) !== 200) throw new Error('a token of a fetched key was refused');
      return async () => {
        issuer.behave('ok');
        await eventually(async () => !(await fixture.firing()).includes('TollgateJwksStale'), {
          timeoutMs: 90_000,
        });
        await restore();
      };
    },
  },
  {
    title: 'tokens of a new key while the keys cannot be fetched: responses of 503',
    alerts: ['TollgateErrorBudgetFast'],
    cause: (fixture) => refuseByMissingKey(fixture, () => true),
  },
  {
    title: 'one token in a hundred is of a new key while the keys cannot be fetched',
    alerts: ['TollgateErrorBudgetSlow'],
    // The errors of the faults before have to leave the windows.
    thresholdSeconds: 240,
    cause: (fixture) => refuseByMissingKey(fixture, (request) => request % 100 === 0),
  },
];

/** Sends 20 requests a second. The gateway cannot fetch the key of the chosen ones, and responds with 503. */
async function refuseByMissingKey(
  fixture: AlertFixture,
  isChosen: (request: number) => boolean,
): Promise<() => Promise<void>> {
  const { issuer, statusWith, restore } = await useIssuer(fixture);
  issuer.behave('fails');
  await issuer.addKey('b', { published: false });
  let request = 0;
  const load = repeatWork(20, () => statusWith(isChosen((request += 1)) ? 'b' : 'a'));
  return async () => {
    await load.stop();
    issuer.behave('ok');
    await restore();
  };
}

/** Starts an issuer with the key `a`, and edits the policy so that the gateway verifies tokens by its keys. */
async function useIssuer({ run }: AlertFixture): Promise<{
  readonly issuer: Issuer;
  /** Status of a request with a token that is signed with the key. */
  readonly statusWith: (kid: string) => Promise<number>;
  /** Restores the policy and closes the issuer. */
  readonly restore: () => Promise<void>;
}> {
  const issuer = await startIssuer();
  await issuer.addKey('a');
  const before = await readFile(run.policyPath, 'utf8');
  const jwt = `jwt: { algorithms: [ES256], jwks_url: "${issuer.url}" }`;
  await writeFile(run.policyPath, before.replace(/jwt: \{[^}]*\}/, jwt));
  const statusWith = async (kid: string): Promise<number> => {
    const claims = { tenant_id: uniqueName('keyed'), exp: Date.now() / 1000 + 600 };
    return (await run.call('GET /things', { token: await issuer.sign(kid, claims) })).status;
  };
  await eventually(async () => (await statusWith('a')) === 200);
  return {
    ...{ issuer, statusWith },
    restore: async () => {
      await writeFile(run.policyPath, before);
      const token = await run.token({ tenant_id: uniqueName('back') });
      await eventually(async () => (await run.call('GET /things', { token })).status === 200);
      await issuer.close();
    },
  };
}
