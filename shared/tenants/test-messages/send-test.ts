import { v7 as uuidv7 } from 'uuid';
import type { Policy } from '../../domain/policy.ts';
import type { TenantRecord } from '../../domain/tenant.ts';
import type { Clock } from '../../runtime/time/clock.ts';
import { targetsIn } from '../notification-targets.ts';
import type { Target } from '../notification-targets.ts';
import type { TestMessageRate, TestMessages } from './test-messages.ts';

export interface TestSources {
  readonly testMessages: TestMessages;
  readonly policy: () => Policy;
  readonly clock: Clock;
}

/** The targets to which the message is sent, or why it is not sent. */
export type TestResult = 'no-target' | 'too-many' | { readonly targets: readonly Target[] };

/** Sends a test message to one target of the tenant, or to all of them if `targetId` is null. */
export async function sendTest(
  { testMessages, policy, clock }: TestSources,
  rate: TestMessageRate,
  { tenantId, record }: { readonly tenantId: string; readonly record: TenantRecord | null },
  targetId: string | null,
): Promise<TestResult> {
  const targets = targetsIn(record?.notifications).filter(({ id }) => targetId === null || id === targetId);
  if (targets.length === 0) return 'no-target';
  if (!rate.accepts(tenantId)) return 'too-many';
  const at = new Date(clock.now()).toISOString();
  await testMessages.send({
    id: uuidv7(),
    kind: 'test',
    tenant_id: tenantId,
    plan: record?.plan ?? policy().defaultPlan,
    limit_name: 'test',
    threshold: 0,
    period: at,
    limit: 0,
    used: 0,
    exhausted_at: null,
    ...(targetId === null ? {} : { only_target: targetId }),
    at,
  });
  return { targets };
}
