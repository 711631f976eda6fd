import { Type } from 'typebox';
import { sendOperatorTest } from '../../../shared/tenants/test-messages/operator-test.ts';
import type { OperatorTestSources } from '../../../shared/tenants/test-messages/operator-test.ts';
import { createTestMessageRate } from '../../../shared/tenants/test-messages/test-messages.ts';
import { asDocument, sendOutcome } from '../answer.ts';
import type { AdminApp, Operations } from '../answer.ts';
import { authorOf } from '../authenticate.ts';
import { TenantParams, actor } from '../request-schemas.ts';
import { testAlertAnswer } from '../../../shared/admin-answers/change-answers.ts';

const TestBody = Type.Object(
  {
    target: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, description: 'Id of one target; absent: all targets.' }),
    ),
  },
  { additionalProperties: false },
);

const operations = {
  sendTestAlert: {
    operationId: 'sendTestAlert',
    role: 'support',
    tags: ['Controls'],
    summary: 'Send a test message to the notification targets of a tenant',
    description: 'At most five in ten minutes for a tenant. The alerter delivers them within seconds.',
    params: TenantParams,
    body: Type.Union([TestBody, Type.Null()]),
    requestHeaders: actor,
    response: {
      200: testAlertAnswer as object,
    },
    problems: [422, 429],
  },
} satisfies Operations;

export type TestAlertOptions = Omit<OperatorTestSources, 'testMessageRate'>;

/** Sends test messages to the targets of a tenant. */
export function registerTestAlert(app: AdminApp, options: TestAlertOptions): void {
  const testMessageRate = createTestMessageRate(options.clock);
  app.post(
    '/admin/v1/tenants/:id/test-alert',
    { config: asDocument, schema: operations.sendTestAlert },
    async (request, reply) => {
      const { id } = request.params;
      const outcome = await sendOperatorTest(
        { ...options, testMessageRate },
        { tenantId: id, targetId: request.body?.target ?? null, author: authorOf(request) },
      );
      if (outcome.ok)
        return {
          tenant_id: id,
          targets: outcome.value.map(({ id: targetId, channel, shown }) => ({
            id: targetId,
            channel,
            shown,
          })),
        };
      if (outcome.status === 429) void reply.header('retry-after', testMessageRate.retryAfterSeconds(id));
      return sendOutcome(reply, outcome);
    },
  );
}
