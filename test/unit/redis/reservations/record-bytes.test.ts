import { expect, test } from 'vitest';
import type { Limit } from '../../../../shared/domain/limit.ts';
import { createPeriodCache } from '../../../../shared/redis/decision/periods.ts';
import { createSubjects } from '../../../../shared/redis/decision/subjects.ts';
import { shapeOf } from '../../../../shared/redis/decision/windows.ts';
import { recordKey } from '../../../../shared/redis/reservations/pending-reservation.ts';
import { decodeRecord, encodeRecord } from '../../../../shared/redis/reservations/record-bytes.ts';

const tokens: Limit = {
  ...{ name: 'tokens é', of: 'tokens', per: ['user'], type: 'sliding', limit: 1_000, windowMs: 60_000 },
  ...{ period: null, burst: 5, mode: 'shadow', route: 'POST /v1/chat' },
};
const spend: Limit = {
  ...{ name: 'spend', of: 'usd', per: ['tenant'], type: 'quota', limit: 2 ** 48 - 1, windowMs: 86_400_000 },
  ...{ period: 'day', burst: 0, mode: 'enforce', route: null },
};
const caller = { tenantId: 'acme', userId: 'ann', ip: '192.0.2.1' };

test('the limits and quantities of a record, and its records in other slots, are read back from its bytes', () => {
  const subjects = createSubjects('tg');
  const shape = shapeOf([tokens, spend], true, true, 'UTC', 'reserve');
  const own = shape.subjects.map((kind) => subjects.of(kind, caller));
  const others = [{ tag: '{=global}', key: 'tg:{=global}:r:acme:r1' }];
  const time = { periods: createPeriodCache(), nowMs: Date.UTC(2026, 0, 1) };
  const bytes = encodeRecord({ shape, subjects: own }, [...shape.quantities, 'images'], others, time);
  expect(decodeRecord(bytes)).toEqual({
    windows: [
      { limit: stated(tokens), isReserved: false },
      expect.objectContaining({ isReserved: true }),
      { limit: stated(spend), isReserved: false },
      expect.objectContaining({ isReserved: true }),
    ],
    quantities: ['requests', 'tokens', 'usd', 'images'],
    others,
  });
});

function stated({ name, of, limit, windowMs, burst, mode }: Limit): object {
  return { name, of, limit, windowMs, burst, mode };
}

test("the key of a record is in the slot of its subject, and outside of the tenant's slot contains the tenant", () => {
  const subjects = createSubjects('tg');
  expect(recordKey(subjects.tenant('acme'), 'acme', 'r 1{}')).toMatch(/^tg:\{acme\}:r:~[\w-]{27}$/);
  expect(recordKey(subjects.of('user', caller), 'acme', 'r1')).toBe('tg:{acme}:r:r1');
  expect(recordKey(subjects.of('global', caller), 'acme', 'r1')).toBe('tg:{=global}:r:acme:r1');
  expect(recordKey(subjects.of('address', { ...caller, tenantId: null }), null, 'r1')).toBe(
    'tg:{=ip.192.0.2.1}:r:r1',
  );
});
