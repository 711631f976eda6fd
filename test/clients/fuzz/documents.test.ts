import { afterAll, beforeAll, expect, test } from 'vitest';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { fuzz } from './schemathesis.ts';
import type { FuzzTarget } from './schemathesis.ts';

/**
 * Goal: no input causes a 5xx, and every response is as the OpenAPI documents state. Method: schemathesis generates
 * valid and invalid requests from both documents, sends them to the services, which run as processes, and checks each
 * response. TOLLGATE_FUZZ=long runs for ten minutes for each target; TOLLGATE_FUZZ_SEED repeats a run.
 */
const long = process.env['TOLLGATE_FUZZ'] === 'long';
const seed = Number(process.env['TOLLGATE_FUZZ_SEED'] ?? Date.now() % 1_000_000_007);
const secondsMax = long ? 600 : 25;
/** Includes the time to load the document before the run, and to finish the last requests after it. */
const testTimeoutMs = (secondsMax + 120) * 1000;

let run: PolicyRun;
beforeAll(async () => {
  run = await runPolicy('default');
});
afterAll(() => run.stop());

const targets: Readonly<Record<string, () => Promise<FuzzTarget>>> = {
  'the api listener for a service': () =>
    Promise.resolve({
      documentUrl: `${run.installation.urls.api}/openapi.json`,
      headers: { 'X-Service-Token': run.serviceToken },
    }),
  'the api listener for a tenant': async () => ({
    documentUrl: `${run.installation.urls.api}/openapi.json`,
    headers: { Authorization: `Bearer ${await run.token({ tenant_id: 'acme', sub: 'u1', tier: 'pro' })}` },
  }),
  'the admin listener': () =>
    Promise.resolve({
      documentUrl: `${run.installation.urls.admin}/admin/openapi.json`,
      headers: { Authorization: `Bearer ${run.installation.env['TOLLGATE_ADMIN_TOKEN'] ?? ''}` },
      // The loss audit waits for the pipeline for seconds in each call.
      except: 'loss-audit',
    }),
};

test.each(Object.entries(targets))(
  '%s: no 5xx, and every answer as its document says',
  async (name, targetOf) => {
    const { code, requests, statuses, text } = await fuzz(await targetOf(), { seconds: secondsMax, seed });
    const seen = [...statuses].toSorted(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
    process.stderr.write(
      `[fuzz] ${name}: ${requests} requests, ${seen.join(', ')}; TOLLGATE_FUZZ_SEED=${seed}\n`,
    );
    expect(code, text).toBe(0);
    // A run in which every request was refused would test nothing.
    expect([...statuses.keys()].some((status) => status >= 200 && status < 300)).toBe(true);
    expect(requests).toBeGreaterThan(20);
  },
  testTimeoutMs,
);

test('the services ran through without a fault in their logs', () => {
  for (const service of ['gateway', 'admin'] as const)
    expect(run.installation.service(service).log()).not.toMatch(/request failed|admin request failed/);
});
