// Goal: the usage of a call is read exactly from events of gateways, and only from these. A settlement applies once, in
// the order in which the reservation was settled.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changeUsage } from '../../../services/aggregator/corrections/change-usage.ts';
import { decode, decodeBoundsDefault } from '../../../services/aggregator/events/decode.ts';
import type { Decoded } from '../../../services/aggregator/events/decode.ts';
import { noCallUsage } from '../../../shared/domain/events/call-usage.ts';
import type { CallUsage, CallUsageChange } from '../../../shared/domain/events/call-usage.ts';
import { amendEventType } from '../../../shared/domain/events/correction.ts';
import { requestEvent } from '../../integration/aggregator/events.ts';

const nowMs = Date.UTC(2026, 10, 21, 12);
const seed = Number(process.env['SEED'] ?? 130);
const usd = 1_000_000_000_000n;
const expiresAt = new Date(nowMs + 600_000).toISOString();
const reservation = {
  id: 'job-7',
  state: 'open',
  reserved: { usd: 0.25, tokens: 1_500 },
  expires_at: expiresAt,
};
const usage = {
  model: 'small',
  quantities: { usd: '0.000000000001', tokens: 1_200 },
  measures: { input_tokens: 200, output_tokens: 1_000 },
  usage_source: 'reported',
};

function read(event: object): Decoded {
  const place = { partition: 3, offset: 9, headers: {}, timestampMs: nowMs };
  return decode({ ...place, value: Buffer.from(JSON.stringify(event)) }, nowMs, decodeBoundsDefault);
}

const request = (data: object, source = 'tollgate/node-1'): object => {
  const event = requestEvent('acme', { timeMs: nowMs });
  return { ...event, source, data: { ...event.data, ...data } };
};

const amend = (data: object, source = 'tollgate/node-1'): object => ({
  ...request({}, source),
  id: 'settlement-1',
  type: amendEventType,
  data: { event_id: 'e1', ...data },
});

function usageOf(event: object): CallUsage | CallUsageChange | null {
  const decoded = read(event);
  if (decoded.kind === 'request') return decoded.event.usage;
  return decoded.kind === 'correction' ? decoded.correction.usage : null;
}

function reasonOf(event: object): string {
  const decoded = read(event);
  return decoded.kind === 'dead' ? decoded.reason : `not dead: ${decoded.kind}`;
}

describe('the usage of a request', () => {
  test('an ordinary request has the one shared object without usage', () => {
    expect(usageOf(request({}))).toBe(noCallUsage);
    expect(usageOf(amend({ status: 200 }))).toBeNull();
  });

  test('amounts are read as exact decimals, and measures as whole numbers', () => {
    expect(usageOf(request(usage))).toEqual({
      ...noCallUsage,
      model: 'small',
      quantities: { usd: 1n, tokens: 1_200n * usd },
      measures: { input_tokens: 200, output_tokens: 1_000 },
      usageSource: 'reported',
    });
  });

  test('quotas count the reserved amounts of an open reservation', () => {
    const amounts = { usd: usd / 4n, tokens: 1_500n * usd };
    expect(usageOf(request({ status: 0, reservation }))).toEqual({
      ...noCallUsage,
      quantities: amounts,
      reserved: amounts,
      reservation: 'open',
      reservationId: 'job-7',
      reservedUntilMs: nowMs + 600_000,
    });
  });

  test('a settlement replaces amounts and keeps what it does not name', () => {
    const change = usageOf(amend({ ...usage, reservation: { state: 'settled', number: 1 } }));
    expect(change).toEqual({
      model: 'small',
      quantities: { usd: 1n, tokens: 1_200n * usd },
      measures: { input_tokens: 200, output_tokens: 1_000 },
      usageSource: 'reported',
      reservation: 'settled',
      settlement: 1,
    });
  });
});

describe('the contract of the usage', () => {
  test.each([
    ['a model that is a number', { model: 4 }, 'data.model must be a text'],
    ['a long model', { model: 'm'.repeat(129) }, 'data.model is longer than 128 characters'],
    ['half a character', { model: '\ud800' }, 'data.model is not well-formed Unicode'],
    [
      'a negative amount',
      { quantities: { usd: -1 } },
      'data.quantities.usd must be a number from 0 to 281474976710655',
    ],
    ['an amount in words', { quantities: { usd: 'all' } }, 'data.quantities.usd must be a number from 0 to'],
    [
      'a huge amount',
      { quantities: { usd: '281474976710656' } },
      'data.quantities.usd must be a number from 0 to',
    ],
    ['no name', { quantities: { '': 1 } }, 'each name in data.quantities must have 1 to 48 characters'],
    [
      'a name for prototypes',
      { measures: JSON.parse('{"__proto__":1}') as object },
      'each name in data.measures',
    ],
    [
      'too many names',
      { measures: Object.fromEntries(Array.from({ length: 33 }, (_, index) => [`m${index}`, 1])) },
      'data.measures has more than 32 names',
    ],
    [
      'a broken measure',
      { measures: { output_tokens: 1.5 } },
      'data.measures.output_tokens must be a whole number',
    ],
    ['a list of amounts', { quantities: [1] }, 'data.quantities must be a JSON object'],
    [
      'an unknown source',
      { usage_source: 'guessed' },
      'data.usage_source must be one of: reported, measured',
    ],
    [
      'an unknown state',
      { reservation: { ...reservation, state: 'lost' } },
      'data.reservation.state must be one of',
    ],
    [
      'no end',
      { reservation: { ...reservation, expires_at: null } },
      'data.reservation.expires_at is missing',
    ],
    ['an end in words', { reservation: { ...reservation, expires_at: 'soon' } }, 'must be an RFC 3339 time'],
    [
      'an end in a year',
      { reservation: { ...reservation, expires_at: '2027-11-21T12:00:00Z' } },
      'data.reservation.expires_at is more than 31 days from the time of the event',
    ],
    [
      'a broken number',
      { reservation: { ...reservation, number: 0.5 } },
      'data.reservation.number must be a whole',
    ],
  ])('%s makes a dead letter with the reason', (name, data, reason) => {
    // In a correction the end of a reservation is optional, and in a request there is no number of a settlement.
    if (name !== 'a broken number') expect(reasonOf(request(data))).toContain(reason);
    if (name !== 'no end') expect(reasonOf(amend(data))).toContain(reason);
  });

  test.each(Object.entries({ ...usage, reservation }))(
    'only gateways send %s, in requests and in corrections',
    (name, value) => {
      const reason = `data.${name} is for gateways only`;
      expect(reasonOf(request({ [name]: value }, 'billing-app'))).toBe(reason);
      expect(reasonOf(amend({ [name]: value }, 'billing-app'))).toBe(reason);
    },
  );

  test('decoding never throws, whatever a gateway writes', () => {
    const any = fc.oneof(fc.jsonValue(), fc.constantFrom(usage, reservation));
    const fields = fc.record(
      { model: any, quantities: any, measures: any, usage_source: any, reservation: any },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fields, (data) => {
        expect(['request', 'dead']).toContain(read(request(data)).kind);
        expect(['correction', 'dead']).toContain(read(amend(data)).kind);
      }),
      { numRuns: 500, seed },
    );
  });
});

describe('a change of the usage', () => {
  const open: CallUsage = {
    ...noCallUsage,
    model: 'small',
    quantities: { usd: 5n },
    reserved: { usd: 5n },
    reservation: 'open',
    reservedUntilMs: nowMs,
  };
  const settle = (amount: bigint, settlement = 0): CallUsageChange => ({
    reservation: 'settled',
    settlement,
    quantities: { usd: amount },
  });

  test('an extension raises what is reserved and counted, while the reservation is open', () => {
    const extend: CallUsageChange = { reservation: 'open', settlement: 0, reserved: { usd: 9n } };
    expect(changeUsage(open, extend)).toEqual({ ...open, reserved: { usd: 9n }, quantities: { usd: 9n } });
    expect(changeUsage({ ...open, reservation: 'settled' }, extend)).toBeNull();
    expect(changeUsage({ ...open, reservation: 'cancelled' }, extend)).toBeNull();
  });

  test('a settlement keeps the reserved amounts for comparison', () => {
    expect(changeUsage(open, settle(3n))).toEqual({
      ...open,
      reservation: 'settled',
      quantities: { usd: 3n },
    });
  });

  test('a cancelled call uses nothing, and a later settlement counts again', () => {
    const cancelled = changeUsage(open, { reservation: 'cancelled', settlement: 1 });
    expect(cancelled).toMatchObject({ reservation: 'cancelled', quantities: {}, settlement: 1 });
    expect(changeUsage(cancelled ?? open, settle(3n, 2))).toMatchObject({ quantities: { usd: 3n } });
  });

  test('of numbered settlements the highest counts, in any order of the log', () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([1, 2, 3, 4], { minLength: 1 }), (numbers) => {
        const last = numbers.reduce<CallUsage>((state, number) => {
          return changeUsage(state, settle(BigInt(number), number)) ?? state;
        }, open);
        expect(last.quantities).toEqual({ usd: BigInt(Math.max(...numbers)) });
      }),
      { seed },
    );
  });

  test('the model is set once, because the totals are grouped by it', () => {
    expect(changeUsage(open, { ...settle(1n), model: 'large' })?.model).toBe('small');
    expect(changeUsage({ ...open, model: '' }, { ...settle(1n), model: 'large' })?.model).toBe('large');
  });
});
