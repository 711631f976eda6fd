import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { createAuditLog } from '../../../shared/kafka/audit-log.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';

test('a flood of refused sign-ins does not keep an accepted one out of the audit trail', async () => {
  const written: string[] = [];
  const audit = createAuditLog({
    producer: {
      send: (_topic, messages) => {
        written.push(...messages.map(({ value }) => String(value)));
        return Promise.resolve([]);
      },
    },
    topics: { audit: 'audit' },
    source: 'console',
    clock: { now: () => 1_800_000_000_000 },
    registry: new Registry(),
    logger: createLogger('test', 'silent'),
  });
  for (let count = 0; count < 500; count += 1)
    audit.note({ actor: 'unknown', action: 'sign-in-refused', detail: 'refused' });
  audit.note({ actor: 'robin', action: 'sign-in', detail: 'signed in' });
  await Promise.resolve();
  const refused = written.filter((entry) => entry.includes('sign-in-refused'));
  expect(refused).toHaveLength(300);
  expect(written.length - refused.length).toBe(1);
});
