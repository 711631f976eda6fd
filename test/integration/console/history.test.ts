import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { dateAt, periodAt } from '../../../shared/domain/time/calendar.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { storeUsage } from '../../support/stored-usage.ts';
import type { StoredEvent } from '../../support/stored-usage.ts';
import { createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { get, visit } from './browser.ts';

let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

const hourMs = 3_600_000;

/** Texts of the cells of the page's first table, without its head. */
async function tableOf(query: string, cookie: string): Promise<string[][]> {
  const { text } = await get(fixture, `/history?${query}`, cookie);
  const body = /<table class="list-table[^]*?<\/table>/.exec(text)?.[0] ?? '';
  return [...body.matchAll(/<tr role="row">[^]*?<\/tr>/g)]
    .slice(1)
    .map(([line]) =>
      [...line.matchAll(/<t[hd] role[^>]*>([^]*?)<\/t[hd]>/g)].map(([, cell = '']) =>
        cell.replace(/<[^>]*>/g, '').trim(),
      ),
    );
}

describe('history and refusals', () => {
  test('B4: the history is divided, filtered, compared and exported, and all of it is in the address', async () => {
    const id = uniqueName('divided');
    const now = Date.now();
    await storeUsage(fixture.clickhouse, [
      { timeMs: now - 1000, tenant: id, user: 'ada', route: 'GET /audit/logs', latencyMs: 80, cost: '0.5' },
      { timeMs: now - 2000, tenant: id, user: '=ada', latencyMs: 20 },
      { timeMs: now - 3000, tenant: id, user: '=ada', decision: 'limited', limitedBy: ['chat'] },
      { timeMs: now - 26 * hourMs, tenant: id, user: 'ada' },
    ]);
    const cookie = await visit(fixture, id);
    const table = (query: string): Promise<string[][]> => tableOf(query, cookie);
    expect(await table('span=24h&by=user')).toEqual([
      ['=ada', '2', '1', '0', '1', 'USD 0.00'],
      ['ada', '1', '0', '0', '1', 'USD 0.500'],
    ]);
    expect((await table('span=24h&by=route&user=ada')).map((row) => row.slice(0, 2))).toEqual([
      ['GET /audit/logs', '1'],
    ]);
    expect((await table('span=7d&by=decision')).map((row) => row.slice(0, 2))).toEqual([
      ['allowed', '3'],
      ['limited', '1'],
    ]);
    const compared = await get(fixture, '/history?span=24h&compare=1', cookie);
    expect(compared.text).toContain('Previous period');
    expect(compared.text).toContain('+200 %');
    const latency = await get(fixture, '/history?span=1h&metric=latency&route=GET%20/audit/logs', cookie);
    expect(latency.text).toMatch(/data-value="8\d(\.\d+)?">\s*8\d(\.\d)? ms/);
    const file = await get(fixture, '/history?span=24h&by=user&format=csv', cookie);
    expect(String(file.headers['content-disposition'])).toContain('usage-24h.csv');
    const lines = file.text.trim().split('\r\n');
    expect(lines[0]).toBe('from,value,requests,refused,server_errors,units,cost,latency_p95_ms');
    expect(
      lines
        .slice(1)
        .map((line) => line.split(',').slice(1, 4).join(','))
        .toSorted(),
    ).toEqual(["'=ada,2,1", 'ada,1,0']);
  });

  test('B4: the history of a meter is divided by its groups, filtered, compared and exported, and all of it is in the address', async () => {
    const [id, other] = [uniqueName('metered'), uniqueName('other')];
    const now = Date.now();
    const completion = (
      tenant: string,
      user: string,
      model: string,
      tokens: string,
      timeMs: number,
    ): StoredEvent => ({
      ...{ tenant, user, timeMs, type: 'llm.completion.v1', properties: { model, tokens } },
    });
    await storeUsage(fixture.clickhouse, [
      completion(id, 'ada', 'small', '250', now - 1000),
      completion(id, 'bob', 'large', '100.5', now - 2000),
      completion(id, 'ada', 'small', '50', now - 26 * hourMs),
      completion(other, 'eve', 'small', '7', now - 3000),
      { tenant: id, user: 'ada', model: 'small', timeMs: now - 4000 },
    ]);
    const cookie = await visit(fixture, id);
    const byModel = [
      ['small', '250'],
      ['large', '100.5'],
    ];
    expect(await tableOf('span=24h&metric=meter:tokens&by=model', cookie)).toEqual(byModel);
    expect(await tableOf('span=24h&metric=requests&by=tokens.model', cookie)).toEqual(byModel);
    expect(await tableOf('span=7d&by=user_id', cookie)).toEqual([
      ['ada', '300'],
      ['bob', '100.5'],
    ]);
    const ofSmall = 'span=7d&metric=meter:tokens&by=user_id&only.model=small';
    expect(await tableOf(ofSmall, cookie)).toEqual([['ada', '300']]);
    const compared = await get(fixture, '/history?span=24h&metric=meter:tokens&compare=1', cookie);
    expect(compared.text).toMatch(/data-slot="total">\s*350\.5 <small class="soft small">\+601 %</);
    expect(compared.text).toContain('Previous period');
    const file = await get(fixture, '/history?span=24h&metric=meter:tokens&by=model&format=csv', cookie);
    const lines = file.text.trim().split('\r\n');
    expect(lines[0]).toBe('from,model,tokens');
    expect(
      lines
        .slice(1)
        .map((line) => line.split(',').slice(1).join(','))
        .toSorted(),
    ).toEqual(['large,100.5', 'small,250']);
    const requests = await get(fixture, '/history?span=24h', cookie);
    expect(requests.text).toContain('<option value="tokens.user_id"');
    expect(await tableOf('span=24h&by=model', cookie)).toHaveLength(1);
  });

  test('days and hours of a zone with a half hour have exactly their own requests', async () => {
    const id = uniqueName('half');
    const zone = 'Asia/Kolkata';
    await fixture.admin(`PUT /admin/v1/tenants/${id}`, { plan: 'free', time_zone: zone });
    await eventually(() => Promise.resolve(fixture.directory.get(id) !== undefined));
    const { startMs: todayMs } = periodAt('day', zone, Date.now());
    const firstMs = todayMs - 29 * 24 * hourMs;
    const times = [todayMs + 1, todayMs - 1, todayMs - 60_000, firstMs, firstMs + 1, firstMs - 1];
    await storeUsage(
      fixture.clickhouse,
      times.map((timeMs) => ({ timeMs, tenant: id })),
    );
    const cookie = await visit(fixture, id);
    const requests = async (query: string): Promise<Record<string, number>> => {
      const { text } = await get(fixture, `/history?${query}&format=csv`, cookie);
      const lines = text.trim().split('\r\n').slice(1);
      return Object.fromEntries(
        lines.map((line) => [line.split(',')[0] ?? '', Number(line.split(',')[2])] as const),
      );
    };
    const iso = (ms: number): string => new Date(ms).toISOString();
    expect(await requests('span=30d')).toEqual({
      [iso(firstMs)]: 2,
      [iso(todayMs - 24 * hourMs)]: 2,
      [iso(todayMs)]: 1,
    });
    const date = (ms: number): string => dateAt(zone, ms);
    expect(await requests(`span=custom&from=${date(todayMs - 72 * hourMs)}&to=${date(todayMs)}`)).toEqual({
      [iso(todayMs - hourMs)]: 2,
      [iso(todayMs)]: 1,
    });
  });

  test('refusals are filtered, in pages, and repeated ones are in one row', async () => {
    const id = uniqueName('many');
    const limited = { tenant: id, decision: 'limited' as const };
    await storeUsage(fixture.clickhouse, [
      ...Array.from({ length: 60 }, (_, at) => ({
        ...limited,
        timeMs: Date.now() - at * 1000,
        limitedBy: ['chat'],
      })),
      { ...limited, timeMs: Date.now() - 90_000, limitedBy: ['minute'], user: 'bob' },
    ]);
    const cookie = await visit(fixture, id);
    const rows = async (query: string): Promise<number> =>
      (await get(fixture, `/refusals?${query}`, cookie)).text.match(/>Details<\/a>/g)?.length ?? 0;
    expect(await rows('')).toBe(2);
    expect((await get(fixture, '/refusals', cookie)).text).toMatch(/data-title="Requests"><div>60</);
    expect(await rows('user=bob')).toBe(1);
    expect(await rows('limit=chat')).toBe(1);
    expect(await rows('route=GET%20/none')).toBe(0);
    const first = await get(fixture, '/refusals?view=each', cookie);
    expect(await rows('view=each')).toBe(50);
    const next = /rel="next"\s+href="([^"]*)"/.exec(first.text)?.[1]?.replaceAll('&amp;', '&') ?? '';
    expect(next).toContain('offset=50');
    expect(await rows(next.split('?')[1] ?? '')).toBe(11);
    const file = await get(fixture, '/refusals?view=each&format=csv', cookie);
    const lines = file.text.trim().split('\r\n');
    expect(lines).toHaveLength(62);
    // A further file continues after the row of its address.
    const [time = '', , , , event = ''] = (lines[20] ?? '').split(',');
    const before = encodeURIComponent(`${Date.parse(time)}_${event}`);
    const further = await get(fixture, `/refusals?view=each&format=csv&before=${before}`, cookie);
    expect(further.text.trim().split('\r\n')).toEqual([lines[0], ...lines.slice(21)]);
  });

  test('a file of repeated refusals in one row continues after the last request of its last row', async () => {
    const id = uniqueName('groups');
    const nowMs = Date.now() - 10_000;
    const users = Array.from({ length: 12 }, (_, at) => `u${at}`);
    // Groups overlap in time, and the last requests of several groups have the same time.
    const events = users.flatMap((user, at) =>
      [0, 40_000 + at].map((agoMs) => ({
        ...{ tenant: id, user, decision: 'limited' as const, limitedBy: ['minute'] },
        timeMs: nowMs - (at < 4 ? 0 : at * 1_000) - agoMs,
      })),
    );
    await storeUsage(fixture.clickhouse, events);
    const cookie = await visit(fixture, id);
    const linesOf = async (query: string): Promise<string[]> =>
      (await get(fixture, `/refusals?format=csv${query}`, cookie)).text.trim().split('\r\n');
    const all = await linesOf('');
    expect(all).toHaveLength(users.length + 1);
    for (const [index, line] of all.entries()) {
      if (index === 0) continue;
      const fields = line.split(',');
      expect(fields[1]).toBe('2');
      const before = encodeURIComponent(`${Date.parse(fields[0] ?? '')}_${fields.at(-1)}`);
      expect(await linesOf(`&before=${before}`)).toEqual([all[0], ...all.slice(index + 1)]);
    }
  });

  test('a decision shows what its counter held, the exact time at which it would have passed, and the calls', async () => {
    const id = uniqueName('counter');
    const now = Math.floor(Date.now() / 1000) * 1000 - 20_000;
    await storeUsage(fixture.clickhouse, [
      ...Array.from({ length: 10 }, (_, at) => ({ timeMs: now - 50_000 + at * 1000, tenant: id })),
      ...Array.from({ length: 5 }, (_, at) => ({ timeMs: now - 9000 + at * 1000, tenant: id, user: 'bob' })),
      { timeMs: now - 70_000, tenant: id },
      { timeMs: now, tenant: id, decision: 'limited', limitedBy: ['chat'] },
    ]);
    const cookie = await visit(fixture, id);
    const list = await get(fixture, '/refusals', cookie);
    const path = /href="(\/refusals\/[0-9a-f-]{30,})"/.exec(list.text)?.[1] ?? '';
    const { text } = await get(fixture, path, cookie);
    expect(text).toMatch(/<strong>10 of 10<\/strong> units were used in the minute before it/);
    expect(text).toMatch(/data-slot="passes">[^]*?,\s+10 s\s+later/);
    const calls = /data-counter-of="chat"[^]*?<\/table>/.exec(text)?.[0] ?? '';
    expect(calls.match(/<tr role="row">/g)).toHaveLength(11);
    expect(calls).not.toContain('bob');
  });
});
