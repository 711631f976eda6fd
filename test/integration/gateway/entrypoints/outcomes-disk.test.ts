// Goal: an accepted outcome survives a crash, also while the disk of the spool fails.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { amendEventType } from '../../../../shared/domain/events/correction.ts';
import { startGateway } from '../gateway.ts';
import type { TestGateway } from '../gateway.ts';
import { policy, service } from '../api.ts';

let gateway: TestGateway;
/** The disk states that the spool reports in consecutive calls: null, or the failure. The last state is repeated. */
let troubles: (string | null)[] = [null];

beforeAll(async () => {
  const diskFailure = (): string | null => (troubles.length > 1 ? troubles.shift() : troubles[0]) ?? null;
  const room = { usedShare: () => 0, acknowledged: () => Infinity, bytesMax: Infinity, diskFailure };
  gateway = await startGateway({ policy, spoolRoom: room });
});
afterAll(() => gateway.close());
afterEach(() => (troubles = [null]));

const outcome = { status: 503, latency_ms: 250.5 };
const amends = () => gateway.events.filter(({ type }) => type === amendEventType).length;

async function post(
  path: string,
  body: object,
): Promise<{ status: number; response: Response; json: unknown }> {
  const headers = { ...service, 'content-type': 'application/json' };
  const response = await fetch(gateway.apiUrl + path, {
    method: 'POST',
    headers,
    body: JSON.stringify(body),
  });
  return { status: response.status, response, json: await response.json() };
}

async function decide(): Promise<string> {
  const { json } = await post('/v1/check', { tenant_id: 'acme', method: 'GET', path: '/agent/list' });
  return (json as { decision_id: string }).decision_id;
}

describe.each([
  ['one', (id: string) => post(`/v1/decisions/${id}/outcome`, outcome)],
  ['a batch', (id: string) => post('/v1/outcomes', { outcomes: [{ decision_id: id, ...outcome }] })],
])('reported as %s', (_name, report) => {
  test('an outcome is refused with 503 while the disk accepts no events', async () => {
    const [id, before] = [await decide(), amends()];
    troubles = ['ENOSPC'];
    const refused = await report(id);
    expect([refused.status, refused.response.headers.get('retry-after')]).toEqual([
      503,
      expect.stringMatching(/^\d+$/),
    ]);
    expect(amends()).toBe(before);
  });

  test('an outcome is not accepted where the disk fails meanwhile, and is written when it is sent again', async () => {
    const [id, before] = [await decide(), amends()];
    troubles = [null, 'ENOSPC'];
    expect((await report(id)).status).toBe(503);
    troubles = [null];
    expect((await report(id)).status).toBe(202);
    expect(amends()).toBe(before + 2);
  });
});
