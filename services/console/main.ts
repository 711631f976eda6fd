import { createCredentials } from '../../shared/identity/credentials.ts';
import { readConfig } from '../../shared/runtime/config.ts';
import { listenOn } from '../../shared/runtime/http/listen-address.ts';
import { listenOps } from '../../shared/runtime/http/ops.ts';
import { runService } from '../../shared/runtime/lifecycle.ts';
import { createLogger } from '../../shared/runtime/logger.ts';
import { startTracing } from '../../shared/runtime/tracing/start-tracing.ts';
import { createEndedSessions } from '../../shared/sessions/ended-sessions.ts';
import { createSessionList } from '../../shared/sessions/session-list.ts';
import { createSessionStates } from '../../shared/sessions/session-states.ts';
import { createPortalLinks, withoutSlashes } from '../../shared/sessions/portal-links.ts';
import { createSessions } from '../../shared/sessions/sessions.ts';
import { watchOperatorsFile } from '../../shared/sessions/operators-file.ts';
import { createOperators } from '../../shared/sessions/operators.ts';
import { createTokens } from '../../shared/sessions/tokens.ts';
import { openTenantStores } from '../../shared/tenants/open-stores.ts';
import { openPolicyTools } from '../../shared/policy-changes/open-policy-tools.ts';
import { readBrand } from './read-brand.ts';
import { createConsoleApp } from './app.ts';
import { environment } from './environment.ts';
import { readOidcSettings } from './operator/oidc/settings.ts';
import { createSingleSignOn } from './operator/oidc/single-sign-on.ts';
import { createTestMessages } from '../../shared/tenants/test-messages/test-messages.ts';
import { createSignInCounter } from './sessions/sign-in-throttle.ts';

const config = readConfig(environment, process.env);
const logger = createLogger('console', config.LOG_LEVEL);

await runService(logger, async (lifecycle) => {
  const tracing = await startTracing({ service: 'console', config, logger, lifecycle });
  const stores = await openTenantStores({ service: 'console', config, env: process.env, lifecycle, logger });
  const { registry, clock, policy, limiter, kafka, topics, directory, producer } = stores;
  const ended = createEndedSessions({ kafka, topics, producer, clock, registry });
  lifecycle.onClose('ended sessions', () => ended.close());
  const credentials = createCredentials({ policy, directory, clock, logger, registry });
  lifecycle.onClose('credentials', async () => {
    credentials.close();
    return Promise.resolve();
  });

  const policyTools = openPolicyTools({
    ...{ config, env: process.env, watch: stores.policyWatch, audit: stores.audit, clock, lifecycle },
    recordOf: (tenantId) => directory.get(tenantId) ?? null,
  });
  let publicUrl = withoutSlashes(config.TOLLGATE_CONSOLE_URL);
  const operatorsFile = await watchOperatorsFile(config.TOLLGATE_OPERATORS_FILE, { logger, registry });
  lifecycle.onClose('file of operators', () => operatorsFile.close());
  const operators = createOperators(operatorsFile, config.TOLLGATE_ADMIN_TOKEN, {
    tokenSessions: config.TOLLGATE_TOKEN_SIGN_IN === 'on',
  });
  const { isSourceOver } = createSessionStates({ ended, operators, directory, clock });
  const list = createSessionList({ kafka, topics, producer, ended, isSourceOver, clock, registry, logger });
  lifecycle.onClose('list of sessions', () => list.close());
  const oidcSettings = await readOidcSettings(config);
  const tokens = createTokens(config.TOLLGATE_PORTAL_SECRET, config.TOLLGATE_ADMIN_TOKEN, clock);
  const app = await createConsoleApp({
    ...{ policy, directory, limiter, credentials, clock, logger, registry, tracing },
    usage: stores.usage,
    records: stores.records,
    resets: stores.resets,
    reads: stores.reads,
    installation: stores.installation,
    reports: stores.reports,
    audit: stores.audit,
    auditTrail: stores.auditTrail,
    deadLetters: stores.deadLetters,
    testMessages: createTestMessages(producer, topics.alerts),
    sessions: createSessions({ tokens, operators, ended, list, directory, clock }),
    sessionList: list,
    endedSessions: ended,
    portalLinks: createPortalLinks({
      ...{ tokens, ended, clock, list },
      consoleUrl: () => publicUrl,
      audit: stores.audit,
    }),
    signIns: createSignInCounter(registry),
    operators,
    operatorsFile,
    tokenSignIn: config.TOLLGATE_TOKEN_SIGN_IN === 'on',
    singleSignOn:
      oidcSettings === null
        ? null
        : createSingleSignOn({ settings: oidcSettings, publicUrl: () => publicUrl, logger }),
    policyTools,
    publicUrl: () => publicUrl,
    brand: await readBrand(config),
  });
  lifecycle.onClose('listener', () => app.close());
  const url = await listenOn(app, config.HOST, config.CONSOLE_PORT);
  if (publicUrl === '') publicUrl = url;
  // This step comes last, so that the console reports ready only when it serves pages.
  const ops = await listenOps(config.HOST, config.OPS_PORT, {
    registry,
    unready: () => [
      ...(directory.ready() ? [] : ['tenant records']),
      ...(ended.ready() ? [] : ['ended sessions']),
    ],
    notes: () => clock.notes(),
  });
  lifecycle.onClose('ops', () => ops.close());
  logger.info({ console: url, opsPort: config.OPS_PORT, policy: policy().revision }, 'console ready');
});
