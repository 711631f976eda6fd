import type { Author } from '../../domain/topics/audit-entry.ts';
import { authorFields } from '../../domain/topics/audit-entry.ts';
import type { AuditLog } from '../../kafka/audit-log.ts';
import type { TenantDirectory } from '../../kafka/tables/tenant-directory.ts';
import type { Target } from '../notification-targets.ts';
import { rejection, success } from '../outcome.ts';
import type { Outcome } from '../outcome.ts';
import { sendTest } from './send-test.ts';
import type { TestSources } from './send-test.ts';
import type { TestMessageRate, TestMessages } from './test-messages.ts';

export interface OperatorTestSources extends TestSources {
  readonly audit: Pick<AuditLog, 'append'>;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly testMessageRate: TestMessageRate;
}

interface OperatorTest {
  readonly tenantId: string;
  /** Null: all targets. */
  readonly targetId: string | null;
  readonly author: Author | string;
}

/**
 * Sends the test message of an operator to a tenant's targets, and returns these. Kafka has the entry of the audit trail
 * before the message is sent.
 */
export async function sendOperatorTest(
  sources: OperatorTestSources,
  { tenantId, targetId, author }: OperatorTest,
): Promise<Outcome<readonly Target[]>> {
  const { audit, directory, testMessageRate } = sources;
  const testMessages: TestMessages = {
    async send(event) {
      const detail = `Test message sent to ${targetId ?? 'all notification targets'}`;
      await audit.append({ ...authorFields(author), tenant_id: tenantId, action: 'test-alert', detail });
      await sources.testMessages.send(event);
    },
  };
  const tenant = { tenantId, record: directory.get(tenantId) ?? null };
  const result = await sendTest({ ...sources, testMessages }, testMessageRate, tenant, targetId);
  if (result === 'no-target') return noTarget;
  if (result === 'too-many') return tooMany;
  return success(result.targets);
}

const noTarget = rejection(
  404,
  'No such target',
  'The tenant has no notification target, or none with this id. Without a target in the request, the message goes to all.',
);
const tooMany = rejection(429, 'Not sent', 'Five test messages in ten minutes are the most for one tenant.');
