import { apiKeysOf } from '../../shared/domain/tenant.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { sendProblem } from '../../shared/runtime/http/problem.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import { addKey, isExpired, newKey, removeKey } from '../../shared/tenants/api-keys.ts';
import type { TenantRecords } from '../../shared/tenants/records.ts';
import { asDocument, sendOutcome } from './answer.ts';
import type { AdminApp } from './answer.ts';
import { actorOf } from './authenticate.ts';
import { operations } from './operations.ts';

export interface ApiKeyOptions {
  readonly records: TenantRecords;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly clock: Clock;
}

/**
 * Creates, lists and deletes a tenant's API keys. Only the response to the creation of a key contains the key itself.
 */
export function registerApiKeys(app: AdminApp, { records, directory, clock }: ApiKeyOptions): void {
  app.get('/admin/v1/tenants/:id/api-keys', { schema: operations.listApiKeys }, (request) => ({
    api_keys: apiKeysOf(records.of(request.params.id)).map((key) => ({
      ...key,
      expired: isExpired(key, clock.now()),
    })),
  }));
  app.post(
    '/admin/v1/tenants/:id/api-keys',
    { config: asDocument, schema: operations.createApiKey },
    async (request, reply) => {
      const { key, sha256 } = newKey();
      const keyRequest = request.body ?? {};
      const outcome = await records.change(request.params.id, actorOf(request), (record) =>
        addKey(record, sha256, keyRequest, clock.now()),
      );
      if (!outcome.ok) return sendOutcome(reply, outcome);
      const described = apiKeysOf(outcome.value).find((one) => one.sha256 === sha256);
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ api_key: key, ...described });
    },
  );
  app.delete(
    '/admin/v1/tenants/:id/api-keys/:hashPrefix',
    { schema: operations.deleteApiKey },
    async (request, reply) => {
      const { id, hashPrefix } = request.params;
      if (directory.get(id) === undefined)
        return sendProblem(reply, 404, 'No such tenant', 'It has no record.');
      const outcome = await records.change(id, actorOf(request), (record) => removeKey(record, hashPrefix));
      return outcome.ok ? reply.code(204).send() : sendOutcome(reply, outcome);
    },
  );
}
