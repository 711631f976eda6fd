import { apiKeyId, apiKeysOf } from '../../shared/domain/tenant.ts';
import type { ApiKey, TenantRecord } from '../../shared/domain/tenant.ts';
import { spanMs } from '../../shared/domain/time/duration.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import type { StoreReads } from '../../shared/runtime/store-reads.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import { addKey, findKey, isExpired, newKey, removeKey, rollKey } from '../../shared/tenants/api-keys.ts';
import type { TenantRecords } from '../../shared/tenants/records.ts';
import type { UsageReader } from '../../shared/tenants/usage-reader.ts';
import { asDocument, sendOutcome } from './answer.ts';
import type { AdminApp } from './answer.ts';
import { authorOf } from './authenticate.ts';
import { operations } from './operations.ts';

export interface ApiKeyOptions {
  readonly records: TenantRecords;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly usage: Pick<UsageReader, 'keyUses'>;
  readonly reads: StoreReads;
  readonly clock: Clock;
}

/**
 * Creates, lists, rolls and revokes a tenant's API keys. Only the response to the creation of a key contains the key
 * itself.
 */
export function registerApiKeys(app: AdminApp, options: ApiKeyOptions): void {
  const { records, directory, usage, reads, clock } = options;
  app.get('/admin/v1/tenants/:id/api-keys', { schema: operations.listApiKeys }, async (request) => {
    const { id } = request.params;
    const uses = await reads.orNull(usage.keyUses(id));
    return {
      api_keys: apiKeysOf(records.of(id)).map((key) => ({
        ...key,
        expired: isExpired(key, clock.now()),
        last_used_at: uses?.get(apiKeyId(key.sha256)) ?? null,
      })),
      last_use_known: uses !== null,
    };
  });
  app.post(
    '/admin/v1/tenants/:id/api-keys',
    { config: asDocument, schema: operations.createApiKey },
    async (request, reply) => {
      const { key, sha256 } = newKey();
      const keyRequest = request.body ?? {};
      const outcome = await records.change(request.params.id, authorOf(request), (record) =>
        addKey(record, sha256, keyRequest, clock.now()),
      );
      if (!outcome.ok) return sendOutcome(reply, outcome);
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ api_key: key, ...keyIn(outcome.value, sha256) });
    },
  );
  registerRoll(app, options);
  app.delete(
    '/admin/v1/tenants/:id/api-keys/:hashPrefix',
    { schema: operations.deleteApiKey },
    async (request, reply) => {
      const { id, hashPrefix } = request.params;
      if (directory.get(id) === undefined)
        return sendProblem(reply, 404, 'No such tenant', 'It has no record.');
      const outcome = await records.change(id, authorOf(request), (record) => removeKey(record, hashPrefix));
      return outcome.ok ? reply.code(204).send() : sendOutcome(reply, outcome);
    },
  );
}

function registerRoll(app: AdminApp, { records, clock }: ApiKeyOptions): void {
  app.post(
    '/admin/v1/tenants/:id/api-keys/:hashPrefix/roll',
    { config: asDocument, schema: operations.rollApiKey },
    async (request, reply) => {
      const { id, hashPrefix } = request.params;
      const { overlap } = request.body;
      const overlapMs = overlap === '0s' ? 0 : (spanMs(overlap) ?? NaN);
      const { key, sha256 } = newKey();
      const outcome = await records.change(id, authorOf(request), (record) =>
        rollKey(record, hashPrefix, { sha256, overlapMs }, clock.now()),
      );
      if (!outcome.ok) return sendOutcome(reply, outcome);
      const old = findKey(outcome.value, hashPrefix);
      const replaced = old.ok ? old.value : undefined;
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ api_key: key, ...keyIn(outcome.value, sha256), replaced });
    },
  );
}

function keyIn(record: TenantRecord, sha256: string): ApiKey | undefined {
  return apiKeysOf(record).find((one) => one.sha256 === sha256);
}
