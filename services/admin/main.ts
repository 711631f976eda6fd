import type { TenantRecord } from '../../shared/domain/tenant.ts';
import { readConfig } from '../../shared/runtime/config.ts';
import { listenOn } from '../../shared/runtime/http/listen-address.ts';
import { runService } from '../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { openPolicyTools } from '../../shared/policy-changes/open-policy-tools.ts';
import { recordRevisions } from '../../shared/policy-changes/record-revisions.ts';
import { startTracing } from '../../shared/runtime/tracing/start-tracing.ts';
import { createEndedSessions } from '../../shared/sessions/ended-sessions.ts';
import { createSessionList } from '../../shared/sessions/session-list.ts';
import { createSessionStates } from '../../shared/sessions/session-states.ts';
import { createPortalLinks, withoutSlashes } from '../../shared/sessions/portal-links.ts';
import { watchOperatorsFile } from '../../shared/sessions/operators-file.ts';
import { createOperators } from '../../shared/sessions/operators.ts';
import { createTokens } from '../../shared/sessions/tokens.ts';
import { openTenantStores } from '../../shared/tenants/open-stores.ts';
import { createTestMessages } from '../../shared/tenants/test-messages/test-messages.ts';
import { createAdminApp } from './app.ts';
import { environment } from './environment.ts';

const config = readConfig(environment, process.env);
const logger = createLogger('admin', config.LOG_LEVEL);

await runService(logger, async (lifecycle) => {
  const tracing = await startTracing({ service: 'admin', config, logger, lifecycle });
  const stores = await openTenantStores({ service: 'admin', config, env: process.env, lifecycle, logger });
  const { registry, clock, policy, limiter, clickhouse, kafka, topics, directory, producer } = stores;
  const ended = createEndedSessions({ kafka, topics, producer, clock, registry });
  lifecycle.onClose('ended sessions', () => ended.close());
  const operatorsFile = await watchOperatorsFile(config.TOLLGATE_OPERATORS_FILE, { logger, registry });
  lifecycle.onClose('file of operators', () => operatorsFile.close());
  const operators = createOperators(operatorsFile, config.TOLLGATE_ADMIN_TOKEN);
  const { isSourceOver } = createSessionStates({ ended, operators, directory, clock });
  const list = createSessionList({ kafka, topics, producer, ended, isSourceOver, clock, registry, logger });
  lifecycle.onClose('list of sessions', () => list.close());
  const tokens = createTokens(config.TOLLGATE_PORTAL_SECRET, config.TOLLGATE_ADMIN_TOKEN, clock);
  const { policyWatch: watch } = stores;
  const recordOf = (tenantId: string): TenantRecord | null => directory.get(tenantId) ?? null;
  const policyTools = openPolicyTools({
    config,
    env: process.env,
    watch,
    recordOf,
    clock,
    lifecycle,
    audit: stores.audit,
  });
  const recorder = recordRevisions({ watch, file: config.TOLLGATE_POLICY, clickhouse, clock, logger });
  lifecycle.onClose('revisions of the policy', () => recorder.close());
  const consoleUrl = withoutSlashes(config.TOLLGATE_CONSOLE_URL);
  const app = await createAdminApp({
    ...{ policy, directory, limiter, ended, clock, logger, registry, tracing },
    usage: stores.usage,
    records: stores.records,
    resets: stores.resets,
    reads: stores.reads,
    testMessages: createTestMessages(producer, topics.alerts),
    audit: stores.audit,
    auditTrail: stores.auditTrail,
    deadLetters: stores.deadLetters,
    auditSources: {
      ...{ kafka, topics, clickhouse, limiter, policy, clock },
      groupId: `${config.TOLLGATE_TOPIC_PREFIX}aggregator`,
      records: () => directory.all(),
    },
    portalLinks: createPortalLinks({
      tokens,
      ended,
      consoleUrl: () => consoleUrl,
      clock,
      audit: stores.audit,
      list,
    }),
    operators,
    policyTools,
    notes: () => clock.notes(),
  });
  lifecycle.onClose('listener', () => app.close());
  const admin = await listenOn(app, config.HOST, config.ADMIN_PORT);
  logger.info({ admin, console: consoleUrl, policy: policy().revision }, 'admin ready');
});
