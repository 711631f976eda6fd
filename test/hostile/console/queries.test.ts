import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { adminToken, createFixture } from '../../integration/console/fixture.ts';
import type { Fixture } from '../../integration/console/fixture.ts';
import { get, post, visit } from '../../integration/console/browser.ts';
import { uniqueName } from '../../support/servers.ts';

/** Goal: no query string makes a page fail, and an empty or wrong field of a form changes nothing. */
let fixture: Fixture;
let operator: string;
beforeAll(async () => {
  fixture = await createFixture();
  const page = await post(fixture, '/operator/sign-in', { token: adminToken, name: 'kim' });
  operator = page.cookie.split(';')[0] ?? '';
});
afterAll(() => fixture.dispose());

const names = [
  ...[
    'id',
    'search',
    'plan',
    'offset',
    'days',
    'span',
    'done',
    'reason',
    'token',
    'view',
    'metric',
    'by',
    'from',
    'to',
  ],
  ...['compare', 'route', 'user', 'limit', 'decision', 'model', 'sort', 'order', 'wait'],
];
const values = ['constructor', '__proto__', '%00', '%ff', '-1', '1e999'];
const queries = [
  ...values.map((value) => names.map((name) => `${name}=${value}`).join('&')),
  names.map((name) => `${name}=a&${name}=b`).join('&'),
  names.map((name) => `${name}[]=a`).join('&'),
];
const portalPages = [
  '/',
  '/usage',
  '/history',
  '/refusals',
  '/refusals/find',
  '/limits',
  '/notifications',
  '/guide',
];
const operatorPages = ['', '/tenants', '/tenants/acme', '/tenants/open', '/growth', '/pipeline', '/audit'];

describe('no query string makes a page fail', () => {
  test.each(portalPages)('of the portal: %s', async (path) => {
    const cookie = await visit(fixture, uniqueName('query'));
    for (const query of queries)
      expect((await get(fixture, `${path}?${query}`, cookie)).status, query).toBeLessThan(500);
  });

  test.each(operatorPages)('of the operator console: %s', async (path) => {
    for (const query of queries) {
      const { status } = await get(fixture, `/operator${path}?${query}`, operator);
      expect(status, query).toBeLessThan(500);
    }
  });
});

describe('a field of an operator’s form that is empty or wrong is refused, and changes nothing', () => {
  const wrong: readonly (readonly [string, string, Record<string, string>])[] = [
    ['a block for no span of time', '/block', { for: 'xx', reason: 'r' }],
    ['a block for more digits than a span has', '/block', { for: '9999999d', reason: 'r' }],
    [
      'a boost without a value',
      '/boosts',
      { limit: 'minute', how: 'set_to', value: ' ', for: '1d', reason: 'r' },
    ],
    ['a boost for no span of time', '/boosts', { limit: 'minute', value: '2', for: 'xx', reason: 'r' }],
    ['a key for no span of time', '/api-keys', { name: 'x', for: 'abc' }],
    ['a key for more days than there are', '/api-keys', { for: '999999999999d' }],
  ];
  test.each(wrong)('%s', async (_name, path, form) => {
    const id = uniqueName('form');
    const page = await post(fixture, `/operator/tenants/${id}${path}`, form, operator);
    expect(page.status).toBe(422);
    expect(fixture.directory.get(id)).toBeUndefined();
  });

  test.each(['%00', 'anonymous', '%20a'])('a portal link for %s, which is not a tenant id', async (id) => {
    expect((await post(fixture, `/operator/tenants/${id}/portal-link`, {}, operator)).status).toBe(422);
  });
});
