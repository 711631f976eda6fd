import { expect, test } from 'vitest';
import { RecordedRoutes } from '../../../shared/backtest/replay/recorded-routes.ts';
import { Replay } from '../../../shared/backtest/replay/replay.ts';
import { quotaFields, readUsageParts } from '../../../shared/backtest/warm-up.ts';
import type { ClickHouseReader } from '../../../shared/clickhouse/client.ts';
import { policyOf } from '../policy/text.ts';
import { recordedEvent } from './events.ts';

const query = { fromMs: Date.UTC(2026, 2, 10), toMs: Date.UTC(2026, 2, 12), tenantId: null };
const noFields = { user: false, ip: false, path: false, attributes: false };

interface Sent {
  readonly text: string;
  readonly params: Record<string, unknown>;
}

/** A ClickHouse with these numbers of events by minute, that answers each query of usage with these rows. */
function clickHouseOf(
  minutes: readonly object[],
  rows: readonly object[],
  sent: Sent[] = [],
): ClickHouseReader {
  const answer = (text: string, params: Record<string, unknown>): Promise<unknown> => {
    if (text.includes('toStartOfMinute')) return Promise.resolve(minutes);
    sent.push({ text, params });
    return Promise.resolve(rows);
  };
  return { query: answer } as unknown as ClickHouseReader;
}

async function partsOf(...args: Parameters<typeof readUsageParts>) {
  const parts = [];
  for await (const part of readUsageParts(...args)) parts.push(part);
  return parts;
}

test('a day with many events is read in parts of a bounded number of events', async () => {
  const minutes = [0, 1, 2].map((index) => ({ minuteMs: query.fromMs + index * 60_000, rows: 90_000 }));
  const sent: Sent[] = [];
  await partsOf(clickHouseOf(minutes, [], sent), { ...query, fields: noFields }, undefined);
  expect(sent.map(({ params }) => params)).toEqual([
    { from: query.fromMs, to: query.fromMs + 60_000 },
    { from: query.fromMs + 60_000, to: query.fromMs + 120_000 },
    { from: query.fromMs + 120_000, to: query.toMs },
  ]);
});

test('too many groups in one part are a clear error', async () => {
  const rows = Array.from({ length: 400_001 }, () => ({}));
  await expect(partsOf(clickHouseOf([], rows), { ...query, fields: noFields }, undefined)).rejects.toThrow(
    /too many different requests/,
  );
});

test('users, addresses and paths are read only if a quota or a route of a policy needs them', () => {
  const planWith = (per: string) =>
    policyOf({
      plans: `{ free: { limits: [{ name: day, per: ${per}, limit: 5, type: quota, window: day }] } }`,
    });
  expect(quotaFields([planWith('tenant')])).toEqual(noFields);
  expect(quotaFields([planWith('tenant'), planWith('user')])).toEqual({ ...noFields, user: true });
  const routes = `[{ match: GET /a, cost: 5 }]`;
  expect(quotaFields([policyOf({ routes })])).toEqual({ ...noFields, path: true });
});

test('the amounts of equal requests are charged as their exact sum, and their units by their number', async () => {
  const policy = policyOf({
    quantities: '{ images: { decimals: 0 } }',
    plans:
      '{ free: { limits: [{ name: images, of: images, per: tenant, limit: 5, type: quota, window: day }, { name: calls, per: tenant, limit: 4, type: quota, window: day }] } }',
    routes: '[{ match: POST /draw, usage: { format: json, measures: { images: [/n] } } }]',
  });
  const event = recordedEvent({ method: 'POST', path: '/draw', route: 'POST /draw' });
  const row = { ...event, requests: 3, quantities: { images: '4' }, userId: '' };
  const [[group] = []] = await partsOf(clickHouseOf([], [row]), { ...query, fields: noFields }, undefined);
  const replay = new Replay({
    policy,
    recordedRoutes: new RecordedRoutes(policy),
    recordOf: () => null,
    entriesMax: 1_000,
  });
  replay.chargePassed(group!.event, 'quota', group!.requests);
  const next = { ...event, reserved: { images: 1_000_000_000_000n }, quantities: null };
  expect(replay.decide(next)).toMatchObject({ outcome: 'allowed' });
  expect(replay.decide(next)).toMatchObject({ outcome: 'limited', limitedBy: ['images', 'calls'] });
});
