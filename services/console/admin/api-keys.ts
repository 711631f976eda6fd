import { apiKeysOf } from '../../../shared/domain/tenant.ts';
import type { ConsoleParts } from '../console.ts';
import { addKey, isExpired, newKey, removeKey } from '../tenants/api-keys.ts';
import type { AdminApp } from './answer.ts';
import { asDocument, sendOutcome, sendProblem } from './answer.ts';
import { actorOf } from './authenticate.ts';
import { operations } from './operations.ts';

/** Hands out, lists and deletes a tenant's API keys. A key itself is in one answer, and nowhere after it. */
export function registerKeys(app: AdminApp, { records, directory, clock }: ConsoleParts): void {
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
      const asked = request.body ?? {};
      const outcome = await records.change(request.params.id, actorOf(request.headers['x-actor']), (record) =>
        addKey(record, sha256, asked, clock.now()),
      );
      if (!outcome.ok) return sendOutcome(reply, outcome);
      const made = apiKeysOf(outcome.value).find((one) => one.sha256 === sha256);
      return reply
        .code(201)
        .header('cache-control', 'no-store')
        .send({ api_key: key, ...made });
    },
  );
  app.delete(
    '/admin/v1/tenants/:id/api-keys/:hashPrefix',
    { schema: operations.deleteApiKey },
    async (request, reply) => {
      const { id, hashPrefix } = request.params;
      if (directory.get(id) === undefined)
        return sendProblem(reply, 404, 'No such tenant', 'It has no record.');
      const outcome = await records.change(id, actorOf(request.headers['x-actor']), (record) =>
        removeKey(record, hashPrefix),
      );
      return outcome.ok ? reply.code(204).send() : sendOutcome(reply, outcome);
    },
  );
}
