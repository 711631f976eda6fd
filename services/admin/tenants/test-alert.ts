import { Type } from 'typebox';
import type { Author } from '../../../shared/domain/topics/audit-entry.ts';
import type { AuditLog } from '../../../shared/kafka/audit-log.ts';
import type { TenantDirectory } from '../../../shared/kafka/tables/tenant-directory.ts';
import { rejection } from '../../../shared/tenants/outcome.ts';
import { sendTest } from '../../../shared/tenants/test-messages/send-test.ts';
import type { TestSources } from '../../../shared/tenants/test-messages/send-test.ts';
import { createTestMessageRate } from '../../../shared/tenants/test-messages/test-messages.ts';
import type { TestMessages } from '../../../shared/tenants/test-messages/test-messages.ts';
import { asDocument, sendOutcome } from '../answer.ts';
import type { AdminApp, Operations } from '../answer.ts';
import { authorOf } from '../authenticate.ts';
import { TenantParams, actor } from '../request-schemas.ts';
import { answer, text } from '../schema-parts.ts';

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
      200: answer({
        tenant_id: text,
        targets: Type.Array(
          answer({
            id: text,
            channel: text,
            shown: Type.String({ description: 'Address without secrets.' }),
          }),
        ),
      }) as object,
    },
    problems: [422, 429],
  },
} satisfies Operations;

export interface TestAlertOptions extends TestSources {
  readonly audit: Pick<AuditLog, 'append'>;
  readonly directory: Pick<TenantDirectory, 'get'>;
}

/** Sends test messages to the targets of a tenant. */
export function registerTestAlert(app: AdminApp, options: TestAlertOptions): void {
  const rate = createTestMessageRate(options.clock);
  app.post(
    '/admin/v1/tenants/:id/test-alert',
    { config: asDocument, schema: operations.sendTestAlert },
    async (request, reply) => {
      const { id } = request.params;
      const tenant = { tenantId: id, record: options.directory.get(id) ?? null };
      const target = request.body?.target ?? null;
      const result = await sendTest(
        { ...options, testMessages: auditedMessages(options, authorOf(request), target) },
        rate,
        tenant,
        target,
      );
      if (result === 'no-target') return sendOutcome(reply, noTarget);
      if (result === 'too-many')
        return sendOutcome(reply.header('retry-after', rate.retryAfterSeconds(id)), tooMany);
      return {
        tenant_id: id,
        targets: result.targets.map(({ id: targetId, channel, shown }) => ({ id: targetId, channel, shown })),
      };
    },
  );
}

/** Test messages whose entry of the audit trail Kafka has before they are sent. */
function auditedMessages(
  { audit, testMessages }: TestAlertOptions,
  author: Author,
  target: string | null,
): TestMessages {
  return {
    async send(event) {
      const detail = `Test message sent to ${target ?? 'all notification targets'}`;
      await audit.append({ ...author, tenant_id: event.tenant_id, action: 'test-alert', detail });
      await testMessages.send(event);
    },
  };
}

const noTarget = rejection(
  404,
  'No such target',
  'The tenant has no notification target, or none with this id. Without a target in the request, the message goes to all.',
);
const tooMany = rejection(429, 'Not sent', 'Five test messages in ten minutes are the most for one tenant.');
