import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { boostPhase } from '../../../shared/domain/boost.ts';
import type { LimitRequest, TenantRecord } from '../../../shared/domain/tenant.ts';
import { loadPolicy } from '../../../shared/policy/load.ts';
import type { Role } from '../../../shared/domain/operators/operator.ts';
import { approveRequest } from '../../../shared/tenants/limit-requests/approve-request.ts';
import {
  declineRequest,
  openRequestsMax,
  requestLimit,
  requestsPerDayMax,
  withdrawRequest,
} from '../../../shared/tenants/limit-requests/limit-requests.ts';
import { exportOpenRequests, listRequests } from '../../../shared/tenants/limit-requests/list-requests.ts';
import type { Edit } from '../../../shared/tenants/records.ts';
import type { Outcome } from '../../../shared/tenants/outcome.ts';
import { replaceSettings } from '../../../shared/tenants/settings.ts';
import { violationsOfRecord } from '../../../shared/tenants/record/violations.ts';

const policy = await loadPolicy('policies/default.yaml', {}, { secrets: 'optional' });
const nowMs = Date.parse('2026-03-10T12:00:00Z');
const dayMs = 86_400_000;
const times = { updated_at: '2026-03-10T12:00:00Z', updated_by: 'kim' };
const bare: TenantRecord = { tenant_id: 'acme', plan: 'free', ...times };
const at = (ms = nowMs) => ({ policy, seenPlan: null, planKnown: true, nowMs: ms });
const week = { limit: 'minute', wanted: 500, forMs: 7 * dayMs, reason: 'launch week' };

function valueOf(outcome: Outcome<Edit>): Edit {
  if (!outcome.ok) throw new Error(outcome.detail);
  expect(violationsOfRecord(outcome.value.record)).toEqual([]);
  return outcome.value;
}

function requested(record = bare, wanted = week, ms = nowMs): TenantRecord {
  return valueOf(requestLimit(record, wanted, at(ms))).record;
}

function newest({ limit_requests: requests = [] }: TenantRecord): LimitRequest {
  const [request] = requests;
  if (request === undefined) throw new Error('the record has no request');
  return request;
}

describe('a request for a higher limit', () => {
  test('B3: it has the present and the requested value, the duration and the reason, and it is open', () => {
    const { record, action, detail } = valueOf(requestLimit(bare, week, at()));
    expect(newest(record)).toMatchObject({
      ...{ limit: 'minute', current: 100, wanted: 500, for_seconds: 604_800 },
      ...{ reason: 'launch week', state: 'open', created_at: '2026-03-10T12:00:00.000Z' },
    });
    expect(action).toBe('limit-request');
    expect(detail).toBe('Requested limit “minute” at 500 instead of 100 for 1 week: launch week');
  });

  test('a limit, value, duration or reason that cannot be granted is refused by field', () => {
    const wrong: readonly (readonly [Partial<typeof week>, string])[] = [
      [{ limit: 'none' }, 'limit'],
      [{ limit: 'platform' }, 'limit'],
      [{ wanted: Number.NaN }, 'wanted'],
      [{ wanted: 100 }, 'wanted'],
      [{ wanted: 0 }, 'wanted'],
      [{ wanted: 500.5 }, 'wanted'],
      [{ wanted: Infinity }, 'wanted'],
      [{ forMs: Number.NaN }, 'for'],
      [{ forMs: 400 * dayMs }, 'for'],
      [{ reason: '' }, 'reason'],
    ];
    for (const [change, field] of wrong)
      expect(requestLimit(bare, { ...week, ...change }, at()), JSON.stringify(change)).toMatchObject({
        ...{ ok: false, status: 422, field },
      });
  });

  test('one request is open for each limit, and withdrawing it makes room for another one', () => {
    const record = requested();
    expect(requestLimit(record, week, at())).toMatchObject({ ok: false, status: 409, field: 'limit' });
    const withdrawn = valueOf(withdrawRequest(record, newest(record).id, 'the tenant itself', nowMs)).record;
    expect(newest(withdrawn)).toMatchObject({ state: 'withdrawn', closed_by: 'the tenant itself' });
    expect(newest(requested(withdrawn)).state).toBe('open');
  });

  test(`a tenant has at most ${openRequestsMax} open requests and sends at most ${requestsPerDayMax} a day`, () => {
    const open = Array.from({ length: openRequestsMax }, (_, index): LimitRequest => ({
      ...newest(requested()),
      ...{ id: `r${index}`, limit: `limit-${index}`, created_at: '2026-03-01T12:00:00Z' },
    }));
    expect(requestLimit({ ...bare, limit_requests: open }, week, at())).toMatchObject({ status: 409 });
    let record = bare;
    for (let sent = 0; sent < requestsPerDayMax; sent += 1) {
      record = requested(record, week, nowMs + sent);
      record = valueOf(withdrawRequest(record, newest(record).id, 'the tenant itself', nowMs + sent)).record;
    }
    expect(requestLimit(record, week, at(nowMs + dayMs - 1))).toMatchObject({ ok: false, status: 429 });
    expect(newest(requested(record, week, nowMs + dayMs)).state).toBe('open');
  });

  test('a record keeps a bounded number of requests, and open ones longest', () => {
    let record = requested(bare, { ...week, limit: 'day', wanted: 5000 }, nowMs - 400 * dayMs);
    for (let sent = 0; sent < 40; sent += 1) {
      record = requested(record, week, nowMs + sent * dayMs);
      record = valueOf(withdrawRequest(record, newest(record).id, 'the tenant itself', nowMs)).record;
    }
    expect(record.limit_requests?.length).toBeLessThanOrEqual(20);
    expect(record.limit_requests?.filter(({ state }) => state === 'open')).toMatchObject([{ limit: 'day' }]);
  });

  test('while the plan is unknown, a request is accepted for every limit of the policy and names no present value', () => {
    const context = { ...at(), planKnown: false };
    const { record } = valueOf(requestLimit({ tenant_id: 'acme', ...times }, week, context));
    expect(newest(record)).not.toHaveProperty('current');
    expect(requestLimit(bare, { ...week, limit: 'none' }, context)).toMatchObject({ field: 'limit' });
  });
});

describe('an answer of an operator', () => {
  const record = requested();
  const { id } = newest(record);

  test('B12: approval raises the limit by a boost of the requested value and duration, in one change', () => {
    const { record: raised, action } = valueOf(
      approveRequest(record, id, { role: 'admin', actor: 'robin' }, at()),
    );
    const [boost] = raised.boosts ?? [];
    expect(boost).toMatchObject({ limit: 'minute', set_to: 500, reason: 'launch week', actor: 'robin' });
    expect(boostPhase(boost!, nowMs + 7 * dayMs - 1)).toBe('running');
    expect(boostPhase(boost!, nowMs + 7 * dayMs)).toBe('ended');
    expect(newest(raised)).toMatchObject({
      ...{
        state: 'approved',
        closed_by: 'robin',
        granted: 500,
        boost_id: boost?.id,
        ends_at: boost?.ends_at,
      },
    });
    expect(action).toBe('limit-request-approve');
  });

  test('approval can grant another value, another end or no end', () => {
    const approve = (approval: object) =>
      valueOf(approveRequest(record, id, { role: 'admin', actor: 'robin', ...approval }, at())).record;
    expect(approve({ set_to: 300 }).boosts).toMatchObject([{ set_to: 300 }]);
    expect(approve({ ends_at: '2026-03-11T00:00:00Z' }).boosts).toMatchObject([
      { ends_at: '2026-03-11T00:00:00.000Z' },
    ]);
    const permanent = approve({ ends_at: null, answer: 'Gladly' });
    expect(permanent).toMatchObject({ overrides: { minute: 500 } });
    expect(permanent.boosts).toBeUndefined();
    expect(newest(permanent)).toMatchObject({ state: 'approved', granted: 500, answer: 'Gladly' });
    expect(newest(permanent)).not.toHaveProperty('ends_at');
  });

  test('approval without an end needs the role admin, as every override does', () => {
    const forever = { ends_at: null };
    const approve = (role: Role, approval: object) =>
      approveRequest(record, id, { actor: 'robin', role, ...approval }, at());
    expect(approve('support', forever)).toMatchObject({ ok: false, status: 403, field: 'ends_at' });
    expect(approve('support', { ends_at: '2026-03-11T00:00:00Z' })).toMatchObject({ ok: true });
    expect(approve('admin', forever)).toMatchObject({ ok: true });
  });

  test('a grant that does not raise the limit, or ends in the past, is refused and changes nothing', () => {
    const refused = (approval: object, of = record) =>
      expect(approveRequest(of, id, { role: 'admin', actor: 'robin', ...approval }, at())).toMatchObject({
        status: 422,
      });
    refused({ set_to: 100 });
    refused({ ends_at: '2026-03-10T11:00:00Z' });
    refused({ ends_at: 'soon' });
    // The plan now allows more than the request: an override of 500 would lower the limit.
    refused({ ends_at: null }, { ...record, plan: 'enterprise' });
  });

  test('declining needs an answer, which the record keeps', () => {
    expect(declineRequest(record, id, { answer: '', actor: 'robin' }, nowMs)).toMatchObject({
      ...{ ok: false, status: 422, field: 'answer' },
    });
    const declined = valueOf(declineRequest(record, id, { answer: 'Not yet', actor: 'robin' }, nowMs)).record;
    expect(newest(declined)).toMatchObject({ state: 'declined', answer: 'Not yet', closed_by: 'robin' });
    expect(declined.boosts).toBeUndefined();
  });

  test('a request is answered once', () => {
    const closed = [
      valueOf(approveRequest(record, id, { role: 'admin', actor: 'robin' }, at())).record,
      valueOf(declineRequest(record, id, { answer: 'No', actor: 'robin' }, nowMs)).record,
      valueOf(withdrawRequest(record, id, 'the tenant itself', nowMs)).record,
    ];
    for (const one of closed) {
      expect(approveRequest(one, id, { role: 'admin', actor: 'kim' }, at())).toMatchObject({ status: 409 });
      expect(declineRequest(one, id, { answer: 'No', actor: 'kim' }, nowMs)).toMatchObject({ status: 409 });
      expect(withdrawRequest(one, id, 'the tenant itself', nowMs)).toMatchObject({ status: 409 });
    }
    expect(approveRequest(record, 'none', { role: 'admin', actor: 'kim' }, at())).toMatchObject({
      status: 404,
    });
  });

  test('replacing the settings of a tenant keeps its requests', () => {
    const body = { plan: 'pro', limit_requests: [] };
    expect(valueOf(replaceSettings(record, body, policy)).record.limit_requests).toEqual(
      record.limit_requests,
    );
  });
});

describe('the list of requests', () => {
  test('open requests come first, the longest open one first; the metric counts them', async () => {
    const one = (
      id: string,
      state: LimitRequest['state'],
      created: string,
      closed?: string,
    ): LimitRequest => ({
      ...{ id, state, created_at: created, limit: 'minute', wanted: 500, reason: 'x' },
      ...(closed === undefined ? {} : { closed_at: closed }),
    });
    const records: TenantRecord[] = [
      {
        ...bare,
        limit_requests: [
          one('new', 'open', '2026-03-03'),
          one('done', 'declined', '2026-03-01', '2026-03-04'),
        ],
      },
      { ...bare, tenant_id: 'beta', limit_requests: [one('old', 'open', '2026-03-02')] },
      { ...bare, tenant_id: 'without' },
      { ...bare, tenant_id: 'last', limit_requests: [one('later', 'approved', '2026-03-01', '2026-03-05')] },
    ];
    const ids = (found: ReturnType<typeof listRequests>) => found.map(({ request }) => request.id);
    expect(ids(listRequests(records))).toEqual(['old', 'new', 'later', 'done']);
    expect(ids(listRequests(records, { state: 'open', tenantId: 'beta' }))).toEqual(['old']);
    const registry = new Registry();
    exportOpenRequests(registry, () => records);
    expect(await registry.metrics()).toMatch(/^tollgate_limit_requests_open 2$/m);
  });
});
