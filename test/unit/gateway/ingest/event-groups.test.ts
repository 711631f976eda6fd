// Goal: the number of groups of a tenant's totals is bounded. Method: publish more groups than the bound, by each of the
// three fields, as a tenant and as a service, on one day and on the next.
import { expect, test } from 'vitest';
import { createEventGroups, groupsOfTenantMax } from '../../../../services/gateway/ingest/event-groups.ts';
import type { EventGroups } from '../../../../services/gateway/ingest/event-groups.ts';
import { judgeEvents } from '../../../../services/gateway/ingest/publish-events.ts';
import { publishedTimeBounds } from '../../../../shared/domain/events/bounds.ts';

const nowMs = Date.UTC(2026, 10, 21, 12);
const dayMs = 86_400_000;
const acme = {
  tenantId: 'acme',
  userId: null,
  planClaim: null,
  ip: '',
  service: null,
  method: 'api_key',
} as const;
const billing = { ...acme, tenantId: null, service: 'billing', method: 'service' } as const;

type Event = Readonly<Record<string, unknown>>;

function judge(
  groups: EventGroups,
  events: readonly Event[],
  identity: typeof acme | typeof billing = acme,
  at = nowMs,
) {
  const members = events.map((event, index) => ({
    event: { specversion: '1.0', id: `e${index}`, source: '/app', type: 'tokens', ...event },
  }));
  return judgeEvents(members, { identity, nowMs: at, times: publishedTimeBounds(400) }, groups);
}

const ofRoutes = (count: number, more: Event = {}): Event[] =>
  Array.from({ length: count }, (_, n) => ({ ...more, data: { route: `/users/${n}` } }));

const kindsOf = (judgements: readonly { readonly kind: string }[]): string[] =>
  judgements.map(({ kind }) => kind);

test('only the event of a group beyond the bound is rejected, and its reason states the remedy', async () => {
  const groups = createEventGroups();
  const judgements = await judge(groups, [
    ...ofRoutes(groupsOfTenantMax + 1),
    { data: { route: '/users/0' } },
  ]);
  expect(kindsOf(judgements.slice(0, groupsOfTenantMax))).not.toContain('rejected');
  expect(judgements[groupsOfTenantMax]).toMatchObject({
    kind: 'rejected',
    id: `e${groupsOfTenantMax}`,
    reason: expect.stringMatching(/1000 different combinations .* leave ids out of data\.route/) as unknown,
  });
  expect(judgements.at(-1)?.kind).toBe('accepted');
});

test.each([
  ['type', (n: number) => ({ type: `tokens.${n}` })],
  ['data.plan', (n: number) => ({ data: { plan: `plan ${n}` } })],
  ['data.route', (n: number) => ({ data: { route: `/${n}` } })],
  ['data_base64', (n: number) => ({ data_base64: Buffer.from(`{"route":"/${n}"}`).toString('base64') })],
])('the number of distinct values of %s is bounded', async (_what, eventAt) => {
  const events = Array.from({ length: groupsOfTenantMax + 5 }, (_, n) => eventAt(n));
  const rejected = kindsOf(await judge(createEventGroups(), events)).filter((kind) => kind === 'rejected');
  expect(rejected).toHaveLength(5);
});

test('events with times on other days count towards the same bound', async () => {
  const groups = createEventGroups();
  await judge(groups, ofRoutes(groupsOfTenantMax));
  const time = new Date(nowMs - 30 * dayMs).toISOString();
  expect(kindsOf(await judge(groups, [{ time, data: { route: '/more' } }]))).toEqual(['rejected']);
  expect(kindsOf(await judge(groups, [{ time, data: { route: '/users/7' } }]))).toEqual(['accepted']);
});

test('the events that a service publishes for a tenant count towards the bound of that tenant', async () => {
  const groups = createEventGroups();
  await judge(groups, ofRoutes(groupsOfTenantMax, { subject: 'acme' }), billing);
  const more = { data: { route: '/more' } };
  expect(kindsOf(await judge(groups, [more]))).toEqual(['rejected']);
  const both = [
    { ...more, subject: 'acme' },
    { ...more, subject: 'other' },
  ];
  expect(kindsOf(await judge(groups, both, billing))).toEqual(['rejected', 'accepted']);
});

test('corrections, duplicates and rejected events add no group', async () => {
  const groups = createEventGroups();
  await judge(groups, ofRoutes(groupsOfTenantMax - 1));
  const rejected = Array.from({ length: 10 }, (_, n) => ({ data: { route: `/bad/${n}`, units: -1 } }));
  await judge(groups, rejected);
  const voids = { subject: 'acme', type: 'tollgate.void.v1', data: { event_id: 'e1', event_source: '/app' } };
  const duplicates = Array.from({ length: 10 }, (_, n) => ({ id: 'same', data: { route: `/last/${n}` } }));
  expect(kindsOf(await judge(groups, duplicates))).toEqual([
    'accepted',
    ...Array<string>(9).fill('duplicate'),
  ]);
  expect(kindsOf(await judge(groups, [voids], billing))).toEqual(['accepted']);
  expect(kindsOf(await judge(groups, [{ data: { route: '/more' } }]))).toEqual(['rejected']);
});

test('the count of groups restarts with the UTC day', async () => {
  const groups = createEventGroups();
  await judge(groups, ofRoutes(groupsOfTenantMax));
  const more = [{ data: { route: '/more' } }];
  expect(kindsOf(await judge(groups, more, acme, nowMs + dayMs / 2 - 1))).toEqual(['rejected']);
  expect(kindsOf(await judge(groups, more, acme, nowMs + dayMs / 2))).toEqual(['accepted']);
  await judge(groups, ofRoutes(groupsOfTenantMax), acme, nowMs + dayMs / 2);
  const late = [{ data: { route: '/late' } }];
  for (const at of [nowMs + dayMs / 2 - 1, nowMs + dayMs / 2]) {
    expect(kindsOf(await judge(groups, late, acme, at))).toEqual(['rejected']);
  }
});

test('memory is bounded: the least recently published tenants are evicted, active ones are not', () => {
  const groups = createEventGroups();
  const add = (subject: string, route: string): string | null =>
    groups.add(
      {
        specversion: '1.0',
        id: 'e',
        source: '/app',
        type: 'tokens',
        time: new Date(nowMs).toISOString(),
        subject,
        datacontenttype: 'application/json',
        data: { route },
      },
      nowMs,
    );
  const fill = (subject: string): void => {
    for (let n = 0; n < groupsOfTenantMax; n += 1) add(subject, `/${n}`);
  };
  fill('idle');
  fill('busy');
  for (let tenant = 0; tenant < 95_000; tenant += 1) {
    add(`tenant ${tenant}`, '/');
    if (tenant % 1_000 === 0) expect(add('busy', '/more')).not.toBeNull();
  }
  expect(add('busy', '/more')).not.toBeNull();
  expect(add('idle', '/more')).toBeNull();
});
