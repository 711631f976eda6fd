import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deadLetterRecord } from '../../../shared/domain/topics/dead-letter.ts';
import { readTopicEnds } from '../../../shared/kafka/offsets/topic-offsets.ts';
import { uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { ageTopic } from '../../support/topic-age.ts';
import { createFixture } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
  await ageTopic(fixture.kafka, fixture.topics.usage, Date.now() - 3_600_000);
});
afterAll(() => fixture.dispose());

/** Writes a dead letter and resolves with its id. */
async function file(value: Buffer, reason: string): Promise<string> {
  const letter = {
    reason,
    topic: fixture.topics.usage,
    partition: 0,
    offset: null,
    key: 'acme',
    value,
    atMs: Date.now(),
  };
  const [place] = await fixture.producer.send(fixture.topics.deadLetters, [deadLetterRecord(letter)]);
  return `${place?.partition ?? -1}-${place?.offset ?? -1}`;
}

async function usageRecords(): Promise<number> {
  const ends = await readTopicEnds(fixture.kafka, fixture.topics.usage);
  return ends.reduce((sum, { low, high }) => sum + high - low, 0);
}

describe('dead letters', () => {
  test('are listed with their reason, shown with their content, and can be replayed repeatedly', async () => {
    const reason = uniqueName('not JSON');
    const id = await file(Buffer.from('{"half":'), reason);
    const list = await fixture.admin('GET /admin/v1/dead-letters');
    expect(list.body['dead_letters']).toContainEqual(expect.objectContaining({ id, reason, bytes: 8 }));
    const shown = await fixture.admin(`GET /admin/v1/dead-letters/${id}`);
    expect(shown.body).toMatchObject({
      text: '{"half":',
      from: expect.stringContaining(fixture.topics.usage) as string,
    });
    const before = await usageRecords();
    for (const times of [1, 2]) {
      expect((await fixture.admin(`POST /admin/v1/dead-letters/${id}/replay`)).status).toBe(200);
      expect(await usageRecords()).toBe(before + times);
    }
  });

  test('an absent letter is 404, an invalid id is 400, and a truncated letter is not sent', async () => {
    expect((await fixture.admin('GET /admin/v1/dead-letters/0-999999')).status).toBe(404);
    expect((await fixture.admin('POST /admin/v1/dead-letters/0-999999/replay')).status).toBe(404);
    expect((await fixture.admin('GET /admin/v1/dead-letters/nonsense')).status).toBe(400);
    const id = await file(Buffer.alloc(1024 * 1000, 'x'), 'too large');
    expect((await fixture.admin(`POST /admin/v1/dead-letters/${id}/replay`)).status).toBe(409);
  });
});

test('the loss audit finds an event that is missing between two others, and reports no loss where none is missing', async () => {
  const tenant = uniqueName('lost');
  const events = Array.from({ length: 12 }, (_, at) => ({ timeMs: Date.now() - 600_000 + at, tenant }));
  await storeUsage(fixture.clickhouse, events);
  const whole = await fixture.admin('POST /admin/v1/loss-audit');
  expect(whole.body).toMatchObject({ lost: 0, events: 12, disagreements: [] });
  await fixture.clickhouse.command(
    'ALTER TABLE stored_events DELETE WHERE sequence = 5 SETTINGS mutations_sync = 2',
  );
  const holed = await fixture.admin('POST /admin/v1/loss-audit?hours=2');
  expect(holed.body).toMatchObject({ lost: 1, missingSequences: { test: [{ from: 5, to: 5 }] } });
});

test('F1: open and expired reservations are listed by tenant and state, with exact amounts', async () => {
  const [tenant, nowMs] = [uniqueName('reserving'), Date.now()];
  const call = { tenant, timeMs: nowMs - 900_000, model: 'gpt-4o', reserved: { tokens: 400, usd: '0.02' } };
  await storeUsage(fixture.clickhouse, [
    { ...call, reservation: 'open', reservedUntilMs: nowMs + 300_000 },
    { ...call, reservation: 'open', reservedUntilMs: nowMs - 300_000 },
    { ...call, reservation: 'settled', reservedUntilMs: nowMs - 300_000 },
  ]);
  const list = async (query: string): Promise<Record<string, unknown>> =>
    (await fixture.admin(`GET /admin/v1/reservations?tenant_id=${tenant}${query}`)).body;
  const expired = { tenant_id: tenant, expired: true, model: 'gpt-4o', node: 'test', entrypoint: 'proxy' };
  expect(await list('')).toMatchObject({
    reservations: [{ ...expired, reserved: { tokens: 400, usd: 0.02 } }, { expired: false }],
    more: false,
  });
  expect(await list('&expired=true')).toMatchObject({ reservations: [expired], more: false });
  expect(await list('&limit=1')).toMatchObject({ reservations: [expired], more: true });
  // Another tenant.
  expect((await list('x'))['reservations']).toEqual([]);
  expect((await fixture.admin('GET /admin/v1/reservations?hours=0')).status).toBe(400);
});
