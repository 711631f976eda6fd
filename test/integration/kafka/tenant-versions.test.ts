import { Registry } from 'prom-client';
import { expect, onTestFinished, test } from 'vitest';
import { createTenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { versionHeader } from '../../../shared/domain/topics/tenant-record.ts';
import { eventually } from '../../support/servers.ts';
import { newProducer, newTopics } from './connection.ts';

const updated = { updated_at: new Date().toISOString(), updated_by: 'another program' };

/** Records and deletions that another program may write for a tenant, with versions that Tollgate never writes. */
const written = [
  { tenantId: 'after-2286', value: { ...updated, updated_at: '9999-12-31T23:59:59Z' } },
  { tenantId: 'before-1970', value: { ...updated, updated_at: '0001-01-01T00:00:00Z' } },
  { tenantId: 'highest-version', value: { ...updated, version: 1e13 } },
  { tenantId: 'deleted', value: null, headers: { [versionHeader]: String(Number.MAX_SAFE_INTEGER) } },
];

test('a tenant can be changed after any record of another program, and every reader has the change', async () => {
  const { kafka, topics } = await newTopics();
  const producer = newProducer(kafka);
  for (const { tenantId, value, headers = {} } of written) {
    const text = value === null ? null : JSON.stringify({ tenant_id: tenantId, plan: 'free', ...value });
    await producer.send(topics.tenants, [{ key: tenantId, value: text, headers }]);
  }
  const [writer, reader] = [0, 1].map(() => {
    const directory = createTenantDirectory({ kafka, topics, registry: new Registry() });
    onTestFinished(() => directory.close());
    return directory;
  });
  await eventually(() => writer?.ready() === true && reader?.ready() === true);
  for (const plan of ['pro', 'enterprise']) {
    for (const { tenantId } of written) await writer?.put({ ...updated, tenant_id: tenantId, plan });
    await reader?.catchUp();
    const seen = written.map(({ tenantId }) => [tenantId, reader?.get(tenantId)?.plan]);
    expect(seen).toEqual(written.map(({ tenantId }) => [tenantId, plan]));
  }
  for (const { tenantId } of written) await writer?.remove(tenantId);
  await reader?.catchUp();
  expect(reader?.size()).toBe(0);
});
