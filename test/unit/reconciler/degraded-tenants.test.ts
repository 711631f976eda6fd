import { expect, test } from 'vitest';
import { createDegradedTenants } from '../../../services/reconciler/degraded/degraded-tenants.ts';

test('more tenants than the maximum are returned as all tenants, and none twice', () => {
  const degraded = createDegradedTenants(2);
  expect(degraded.drain()).toBeNull();
  degraded.add('a', 5);
  degraded.add('b', 3);
  expect(degraded.drain()).toEqual({ sinceMs: 3, tenantIds: new Set(['a', 'b']) });
  for (const tenantId of ['a', 'b', 'c', 'd']) degraded.add(tenantId, 7);
  expect(degraded.drain()).toEqual({ sinceMs: 7 });
  expect(degraded.drain()).toBeNull();
});
