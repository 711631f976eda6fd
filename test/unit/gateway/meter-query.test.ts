import { expect, test } from 'vitest';
import { meterQueryOf } from '../../../services/gateway/entrypoints/api/meter-query.ts';
import type { MeterQueryText } from '../../../services/gateway/entrypoints/api/meter-query.ts';
import type { MeterDefinition } from '../../../shared/domain/meter.ts';

const meter: MeterDefinition = {
  ...{ name: 'spend', eventType: 'tollgate.request.v1', aggregation: 'sum', value: 'quantities.usd' },
  groupBy: ['model', 'user_id'],
};
const caller = { tenantId: 'acme', timeZone: 'UTC', nowMs: Date.parse('2026-11-21T12:00:00Z') };

function queryOf(text: Partial<MeterQueryText>, definition = meter): ReturnType<typeof meterQueryOf> {
  return meterQueryOf(definition, { from: '2026-11-01T00:00:00Z', ...text }, caller);
}

test('a filter is a field of the meter and a value, which may contain =', () => {
  expect(queryOf({ filter: 'model=a=b' })).toMatchObject({ filter: { model: 'a=b' } });
  expect(queryOf({ filter: ['model=a', 'user_id='] })).toMatchObject({ filter: { model: 'a', user_id: '' } });
  expect(queryOf({})).toMatchObject({ filter: {}, top: null });
});

test.each([['model'], ['=a'], ['status=200'], ['__proto__=a']])(
  'the filter %s is refused with the fields',
  (filter) => {
    expect(queryOf({ filter })).toBe(
      'filter must be field=value, with a field of the meter spend: model, user_id.',
    );
  },
);

test('top requires a group', () => {
  expect(queryOf({ top: 5 })).toBe('top requires group_by.');
  expect(queryOf({ top: 5, group_by: 'model' })).toMatchObject({ top: 5, groupBy: ['model'] });
});
