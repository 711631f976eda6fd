// Goal: pages and files that are counted from single events state from which day on they are complete.
// Method: a fixture of its own, because the console reads the retention of events rarely.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { dateAt, periodAt } from '../../../shared/domain/time/calendar.ts';
import { uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import { get, visit } from './browser.ts';
import { createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';

const dayMs = 86_400_000;
let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

test('figures of single events state from which day they are complete, also in files', async () => {
  const id = uniqueName('expired');
  await storeUsage(fixture.clickhouse, [{ timeMs: Date.now() - 1000, tenant: id }]);
  await fixture.clickhouse.command(
    `ALTER TABLE stored_events MODIFY TTL toDateTime(time) + INTERVAL 5 DAY SETTINGS materialize_ttl_after_modify = 0`,
  );
  const cookie = await visit(fixture, id);
  const text = async (path: string): Promise<string> => (await get(fixture, path, cookie)).text;
  const first = dateAt('UTC', Date.now() - 4 * dayMs);
  const sentence = `Complete only from ${first} on`;
  for (const path of [
    '/history?span=7d&by=user',
    '/history?span=7d&user=ada',
    '/history?span=7d&metric=meter:tokens',
    '/history?span=7d&by=user&format=csv',
    '/history?span=7d&metric=meter:tokens&format=csv',
    '/refusals?span=7d',
    '/events?span=7d',
  ])
    expect(await text(path), path).toContain(sentence);
  for (const path of ['/history?span=7d&by=route', '/history?span=24h&by=user', '/events?span=24h'])
    expect(await text(path), path).not.toContain('Complete only from');
  const compared = await text('/history?span=custom&user=ada&compare=1');
  expect(compared).toContain(sentence);
  const month = periodAt('month', null, Date.now());
  const isOlder = month.startMs < Date.now() - 5 * dayMs;
  expect((await text('/spend?users=1')).includes(sentence)).toBe(isOlder);
});
