import fc from 'fast-check';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { mergePatch } from '../../../shared/domain/merge-patch.ts';
import type { TenantRecord } from '../../../shared/domain/tenant.ts';
import { createTenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { createFixture } from '../../integration/console/fixture.ts';
import type { Fixture } from '../../integration/console/fixture.ts';
import { eventually, uniqueName } from '../../support/servers.ts';

/**
 * Goal: no JSON body causes a 5xx, and the API stores exactly the settings that it accepts. Method: every route of the
 * admin API that accepts a body receives arbitrary JSON, and valid bodies in which some fields are arbitrary. After
 * each write with status 200 the settings are read back from the API and, at the end of the test, by another consumer
 * of the topic.
 */
let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

const runs = 300;
/** Fewer runs, since a reset calls three stores. */
const resetRuns = 40;
const seed = Number(process.env['TOLLGATE_FUZZ_SEED'] ?? Date.now() % 1_000_000_007);
process.stderr.write(`[hostile] bodies of the admin API: TOLLGATE_FUZZ_SEED=${seed}\n`);

const times = { starts_at: '2026-11-21T11:00:00Z', ends_at: '2099-11-22T11:00:00Z' };
const boost = { id: 'b', limit: 'minute', multiply: 2, reason: 'launch', actor: 'kim', ...times };
const settings = {
  plan: 'pro',
  display_name: 'Acme',
  overrides: { minute: 500 },
  boosts: [boost],
  block: { until: null, reason: 'abuse', actor: 'kim' },
  api_keys_sha256: ['0'.repeat(64)],
  notifications: {
    thresholds: [0.8],
    webhooks: [{ url: 'https://example.com', secrets: ['whsec_12345678'] }],
    slack: ['https://example.com/slack'],
    emails: ['a@example.com'],
  },
  time_zone: 'Europe/Zurich',
};

/** The same for routes that change something which the tests do not create, so that no body is accepted. */
const ofNothing: Readonly<Record<string, object>> = {
  'POST /admin/v1/policy/backtest': { text: 'version: 1', from: times.starts_at, to: times.ends_at },
  'POST /admin/v1/tenants/:id/api-keys/:hashPrefix/roll': { overlap: '24h' },
  'POST /admin/v1/tenants/:id/requests/:requestId/approve': { set_to: 500, answer: 'Good luck' },
  'POST /admin/v1/tenants/:id/requests/:requestId/decline': { answer: 'The pro plan has this limit' },
  'POST /admin/v1/tenants/:id/test-alert': { target: 'webhook-1' },
  'POST /admin/v1/tenants/:id/undo': { change_id: '019aa4c2-0f00-7abc-8def-0123456789ab' },
  'PUT /admin/v1/policy': { text: 'version: 1', reason: 'launch' },
};

/** A valid body for each route. Each `{…}` in the route is replaced by a parameter. */
const accepted: Readonly<Record<string, object>> = {
  'PUT /admin/v1/tenants/:id': settings,
  'PATCH /admin/v1/tenants/:id': settings,
  'POST /admin/v1/tenants/:id/reset': { reason: 'why' },
  'POST /admin/v1/tenants/:id/block': { until: '2099-01-01T00:00:00Z', reason: 'abuse' },
  'POST /admin/v1/tenants/:id/boosts': { limit: 'minute', set_to: 5, reason: 'launch', ...times },
  'PUT /admin/v1/tenants/:id/internal-note': { text: 'Pays by invoice' },
  'POST /admin/v1/reset': { confirm: 'reset all tenants' },
  'POST /admin/v1/portal-links': { tenant_id: 'acme', ttl: '1h' },
  'POST /admin/v1/policy/check': { text: 'version: 1' },
  ...ofNothing,
};

/** Almost valid values, mixed with arbitrary JSON. */
const nearly: readonly unknown[] = [
  null,
  '',
  'x',
  0,
  -1,
  1e308,
  true,
  [],
  {},
  [null],
  ['a@b.ch', 1],
  '2026-12-31T23:59:60Z',
  '+010000-01-01T00:00:00Z',
  '\u0000',
  '\ud800',
  'a\nb',
  'constructor',
  '__proto__',
  'x'.repeat(3_000),
  { minute: 1, 'a\nb': 'x' },
  { minute: -0 },
  { minute: 1e16 },
  [boost, { ...boost, multiply: undefined }],
  { until: null, reason: 'abuse', actor: '' },
  { webhooks: [{ url: 'http://[', secrets: ['whsec_12345678'] }] },
];

const value = fc.oneof(
  fc.constantFrom(...nearly),
  fc.jsonValue({ maxDepth: 3 }),
  fc.string({ unit: 'binary' }),
);

/** Returns the valid body with one or two of its values replaced or removed. */
function changed(valid: object): fc.Arbitrary<unknown> {
  const edit = fc.tuple(fc.constantFrom(...placesIn(valid)), fc.option(value, { nil: undefined, freq: 6 }));
  return fc
    .array(edit, { maxLength: 2 })
    .map((edits) => edits.reduce<unknown>((body, [place, inner]) => put(body, place, inner), valid));
}

/** Path of every value in a document, and of one unknown field in each object. */
function placesIn(document: unknown): (readonly string[])[] {
  if (typeof document !== 'object' || document === null) return [];
  const inner = Object.entries(document).flatMap(([name, part]) => [
    [name],
    ...placesIn(part).map((place) => [name, ...place]),
  ]);
  return Array.isArray(document) ? inner : [...inner, ['more']];
}

function put(document: unknown, [name, ...rest]: readonly string[], inner: unknown): unknown {
  if (name === undefined) return inner;
  if (typeof document !== 'object' || document === null) return document;
  const copy = (Array.isArray(document) ? [...(document as unknown[])] : { ...document }) as Record<
    string,
    unknown
  >;
  copy[name] = put(copy[name], rest, inner);
  return copy;
}

test('every route with a body is tested', () => {
  const { routeAccess } = fixture.adminApp;
  const changing = routeAccess.filter(({ method }) => ['PUT', 'PATCH', 'POST'].includes(method));
  const withoutBody = /(api-keys|replay|loss-audit)$/;
  expect(
    changing
      .map(({ method, url }) => `${method} ${url}`)
      .filter((route) => !withoutBody.test(route))
      .toSorted(),
  ).toEqual(Object.keys(accepted).toSorted());
});

test.each(Object.entries(accepted))('%s: no JSON is a 5xx', async (route, valid) => {
  const arbitrary = fc.oneof(
    { weight: 1, arbitrary: fc.jsonValue() },
    { weight: 8, arbitrary: changed(valid) },
  );
  let passed = 0;
  await fc.assert(
    fc.asyncProperty(arbitrary, async (body) => {
      const id = uniqueName('any');
      const headers = { 'content-type': 'application/json' };
      const text = JSON.stringify(body);
      const answer = await fixture.admin(route.replace(':id', id), text as never, headers);
      expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(500);
      if (answer.status >= 300) expect(answer.body['detail']).toMatch(/\w/);
      else {
        passed += 1;
        if (/^P(UT|ATCH) .*\/:id$/.test(route))
          await expectStored(route, id, JSON.parse(text) as object, answer.body);
      }
    }),
    { numRuns: route.includes('reset') ? resetRuns : runs, seed },
  );
  expect(passed > 0).toBe(!(route in ofNothing));
});

/** Checks that the response, a later GET and this process's tenant directory have every setting of the body. */
async function expectStored(route: string, id: string, body: object, answer: object): Promise<void> {
  const ignored = new Set(['history', 'limit_requests', 'reset', 'updated_at', 'updated_by']);
  const meant = route.startsWith('PATCH') ? (mergePatch({}, body) as object) : body;
  const expected = Object.entries(meant).filter(([name]) => !ignored.has(name));
  const { record } = (await fixture.admin(`GET /admin/v1/tenants/${id}`)).body as { record: object };
  for (const stored of [answer, record, fixture.directory.get(id)])
    expect(stored).toMatchObject(Object.fromEntries(expected));
}

test('another reader of the topic has every accepted record', async () => {
  const { kafka, topics } = fixture;
  const reader = createTenantDirectory({ kafka, topics, registry: new Registry() });
  try {
    await eventually(() => reader.ready());
    const byId = (records: Iterable<TenantRecord>): TenantRecord[] =>
      [...records].toSorted((a, b) => a.tenant_id.localeCompare(b.tenant_id));
    expect(byId(reader.all())).toEqual(byId(fixture.directory.all()));
    expect(reader.size()).toBeGreaterThan(0);
  } finally {
    await reader.close();
  }
});
