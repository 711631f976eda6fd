import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { deadLetterRecord } from '../../shared/domain/topics/dead-letter.ts';
import { uniqueName } from '../support/servers.ts';
import { storeUsage } from '../support/stored-usage.ts';
import type { StoredEvent } from '../support/stored-usage.ts';
import { accessibilityViolations, createBrowserFixture, layoutOf } from './browser.ts';
import type { BrowserFixture, Opened } from './browser.ts';

/** Ids without a place for a line break: those that clients choose may have 256 characters. */
const longId = 'abcdefghijklmnopqrstuvwxyz'.repeat(3);
const tenantId = uniqueName('everypage') + longId;
let fixture: BrowserFixture;
/** Values of the parameters of routes, by the route's address. */
let parameters: Readonly<Record<string, string>>;

beforeAll(async () => {
  fixture = await createBrowserFixture();
  await storeUsage(fixture.clickhouse, usageOfTwoDays());
  await fixture.admin(`PUT /admin/v1/tenants/${tenantId}`, {
    plan: 'free',
    display_name: 'A tenant whose name is rather long, GmbH & Co. KG',
    overrides: { minute: 120 },
  });
  await fixture.admin(`POST /admin/v1/tenants/${tenantId}/boosts`, {
    limit: 'minute',
    multiply: 2,
    ends_at: new Date(Date.now() + 86_400_000).toISOString(),
    reason: 'launch week',
  });
  const { body: key } = await fixture.admin(`POST /admin/v1/tenants/${tenantId}/api-keys`, {
    name: 'a key with a name of some length',
    scope: { permissions: ['requests', 'usage'], routes: ['GET /v1/reports/*/sections/*/export'] },
  });
  await fixture.spend(tenantId, 60);
  const letter = { reason: 'it is not JSON', topic: fixture.topics.usage, partition: 0, offset: 0 };
  await fixture.producer.send(fixture.topics.deadLetters, [
    deadLetterRecord({ ...letter, key: null, value: Buffer.from('{'), atMs: Date.now() }),
  ]);
  const refusal = await fixture.clickhouse.query<{ event_id: string }>(
    `SELECT event_id FROM usage_events WHERE tenant_id = {tenantId:String} AND decision = 'limited' LIMIT 1`,
    { tenantId },
  );
  parameters = {
    id: refusal[0]?.event_id ?? '',
    '/operator/tenants/:id': tenantId,
    '/keys/:id': String(key['sha256']).slice(0, 12),
    '/operator/tenants/:id/delete': tenantId,
  };
});
afterAll(() => fixture.dispose());

/** Requests, refusals and calls with models of several routes and users, also with ids as long as they may become. */
function usageOfTwoDays(): StoredEvent[] {
  return Array.from({ length: 200 }, (_, at) => ({
    timeMs: Date.now() - at * 864_000,
    tenant: tenantId,
    user:
      [`a-user-with-a-long-name-${at % 5}@subsidiary.example.com`, `${longId}${at % 5}`, `user-${at % 7}`][
        at % 3
      ] ?? '',
    route: ['POST /agent/chat', 'GET /audit/logs', 'GET /v1/reports/*/sections/*/export'][at % 3] ?? '',
    ...(at % 4 === 0 ? { decision: 'limited' as const, limitedBy: ['minute', 'chat'] } : {}),
    ...(at % 5 === 0
      ? { model: 'gpt-4o-mini-2024-07-18', quantities: { tokens: 1200 + at }, cost: 0.012 }
      : {}),
  }));
}

/** Addresses of all pages of the portal or of the operator console. */
function pagesFor(access: 'portal-session' | 'operator-session'): string[] {
  return fixture.consoleApp.routeAccess
    .filter(
      (route) =>
        route.access?.startsWith(access) && route.method === 'GET' && !/\/live$|\.csv$/.test(route.url),
    )
    .map(({ url }) =>
      url.replaceAll(/:(\w+)/g, (_, name: string) => {
        const value = parameters[url] ?? parameters[name];
        if (value === undefined) throw new Error(`${url} needs a value of "${name}" in this test`);
        return encodeURIComponent(value);
      }),
    );
}

const looks = [
  { width: 1280, colorScheme: 'light' },
  { width: 1280, colorScheme: 'dark' },
  { width: 1024, colorScheme: 'light' },
  { width: 390, colorScheme: 'light' },
  { width: 390, colorScheme: 'dark' },
] as const;

describe.each(looks)('at $width px, $colorScheme', ({ width, colorScheme }) => {
  const options = { viewport: { width, height: 800 }, colorScheme };

  test('every page of the portal is accessible and readable', async () => {
    const opened = await fixture.openPortal(tenantId, options);
    expect(await faultsOf(opened, pagesFor('portal-session'), width)).toEqual([]);
  });

  test('every page of the operator console is accessible and readable', async () => {
    const opened = await fixture.openOperator(options);
    expect(await faultsOf(opened, pagesFor('operator-session'), width)).toEqual([]);
  });
});

/** What is wrong with each of the pages. */
async function faultsOf(opened: Opened, paths: readonly string[], width: number): Promise<string[]> {
  const faults: string[] = [];
  for (const path of paths)
    faults.push(...(await faultsOfPage(opened, path, width)).map((fault) => `${path}: ${fault}`));
  return faults;
}

async function faultsOfPage({ page, complaints }: Opened, path: string, width: number): Promise<string[]> {
  const earlier = complaints.length;
  const response = await page.goto(fixture.url + path);
  if (!response?.headers()['content-type']?.startsWith('text/html')) return [];
  await partsLoaded(page);
  const layout = await layoutOf(page);
  return [
    ...(response.status() === 200 ? [] : [`status ${response.status()}`]),
    ...(layout.width <= width ? [] : [`${layout.width} px wide`]),
    ...(layout.mainHeadings === 1 ? [] : [`${layout.mainHeadings} main headings`]),
    ...(layout.tabVisible ? [] : ['its tab is outside the window']),
    ...layout.unlabelled.map((field) => `no label: ${field}`),
    ...layout.cutOff.map((text) => `cut off: ${text}`),
    ...layout.wideTables.map((table) => `table wider than its container: ${table}`),
    ...layout.brokenWords.map((word) => `a line ends within the word: ${word}`),
    ...(await accessibilityViolations(page)),
    ...complaints.slice(earlier),
  ];
}

/** Waits until the parts that a page loads after itself are there. */
async function partsLoaded(page: Page): Promise<void> {
  await expect.poll(() => page.locator('.part.loading').count()).toBe(0);
}
