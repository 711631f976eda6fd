import type { FastifyInstance } from 'fastify';
import type { Policy } from '../../shared/domain/policy.ts';
import type { TenantDirectory } from '../../shared/kafka/tables/tenant-directory.ts';
import { createCredentials } from '../../shared/identity/credentials.ts';
import type { Credentials } from '../../shared/identity/credentials.ts';
import type { Limiter } from '../../shared/redis/decision/limiter.ts';
import type { Clock } from '../../shared/runtime/time/clock.ts';
import type { Logger } from '../../shared/runtime/logger.ts';
import type { Registry } from '../../shared/runtime/http/ops.ts';
import { createAdminApp } from './admin/app.ts';
import { createWebApp } from './web-app.ts';
import { createPortalMetrics } from './metrics.ts';
import type { ConsoleMetrics } from './metrics.ts';
import type { DeadLetterDesk } from './dead-letter-desk.ts';
import type { LossAuditor } from './loss-auditor.ts';
import type { TestMessages } from './test-messages.ts';
import type { SessionEnds } from './sessions/session-ends.ts';
import { createSessions } from './sessions/sessions.ts';
import type { Sessions } from './sessions/sessions.ts';
import { createTokens } from './sessions/tokens.ts';
import type { Tokens } from './sessions/tokens.ts';
import { createTenantRecords } from './tenants/records.ts';
import type { TenantRecords } from './tenants/records.ts';
import { createResets } from './tenants/reset.ts';
import type { Resets } from './tenants/reset.ts';
import type { UsageReader } from './usage-reader.ts';

export interface ConsoleOptions {
  readonly policy: () => Policy;
  readonly directory: TenantDirectory;
  readonly limiter: Limiter;
  readonly usage: UsageReader;
  readonly deadLetters: DeadLetterDesk;
  readonly lossAuditor: LossAuditor;
  readonly testMessages: TestMessages;
  readonly sessionEnds: SessionEnds;
  readonly adminToken: string;
  readonly portalSecret: string;
  /** Where browsers reach the console, for portal links; no slash at the end. */
  readonly publicUrl: () => string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly registry: Registry;
  /** What is wrong and does not keep the console from its work, for `/readyz`. */
  readonly notes?: () => readonly string[];
}

/** What pages and endpoints work with: the options and what is made of them once. */
export interface ConsoleParts extends ConsoleOptions {
  readonly records: TenantRecords;
  readonly resets: Resets;
  readonly tokens: Tokens;
  readonly sessions: Sessions;
  readonly metrics: ConsoleMetrics;
  readonly credentials: Credentials;
}

export interface Console {
  /** Private listener: admin API, metrics, health. */
  readonly admin: FastifyInstance;
  /** Public listener: portal and operator console. */
  readonly web: FastifyInstance;
  close(): Promise<void>;
}

/** Two listeners over one set of parts. Nothing listens yet. */
export async function createConsole(options: ConsoleOptions): Promise<Console> {
  const records = createTenantRecords(options);
  const credentials = createCredentials(options);
  const tokens = createTokens(options.portalSecret, options.adminToken, options.clock);
  const parts: ConsoleParts = {
    ...options,
    records,
    resets: createResets({ ...options, records }),
    tokens,
    sessions: createSessions({ ...options, tokens, ends: options.sessionEnds }),
    metrics: createPortalMetrics(options.registry),
    credentials,
  };
  const [admin, web] = await Promise.all([createAdminApp(parts), createWebApp(parts)]);
  return {
    admin,
    web,
    close: async () => {
      credentials.close();
      await Promise.all([admin.close(), web.close()]);
    },
  };
}
