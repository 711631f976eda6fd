import type { Static, TObject } from 'typebox';
import { createBacktests } from '../backtest/backtests.ts';
import type { Backtests } from '../backtest/backtests.ts';
import { createClickHouse } from '../clickhouse/client.ts';
import { clickHouseServer } from '../clickhouse/environment.ts';
import type { clickHouseVariables } from '../clickhouse/environment.ts';
import { findPolicyRevision, listPolicyRevisions } from '../clickhouse/queries/policy/revisions.ts';
import type { PolicyRevision, PolicyText } from '../clickhouse/queries/policy/revisions.ts';
import type { TenantRecord } from '../domain/tenant.ts';
import type { AuditLog } from '../kafka/audit-log.ts';
import type { policyEditVariables, policyVariables } from '../policy/environment.ts';
import type { PolicyWatch } from '../policy/load.ts';
import type { Lifecycle } from '../runtime/lifecycle.ts';
import type { Clock } from '../runtime/time/clock.ts';
import { createPolicyEditor } from './policy-editor.ts';
import type { PolicyEditor } from './policy-editor.ts';
import { createShadowReader } from './shadow-results.ts';
import type { ShadowReader } from './shadow-results.ts';

/** What operators need to read, try and change the policy. */
export interface PolicyTools {
  readonly editor: PolicyEditor;
  readonly backtests: Backtests;
  readonly revisions: {
    /** The latest revisions and refused edits, newest first. */
    list(limit: number): Promise<PolicyRevision[]>;
    find(revision: string): Promise<PolicyText | null>;
  };
  /** What the limits in shadow mode of the policy in force would have refused. */
  readonly shadowResults: ShadowReader;
}

export interface PolicyToolsOptions {
  readonly config: Static<
    TObject<typeof clickHouseVariables & typeof policyVariables & typeof policyEditVariables>
  >;
  /** The environment, from which the policy reads its secrets. */
  readonly env: NodeJS.ProcessEnv;
  readonly watch: PolicyWatch;
  readonly recordOf: (tenantId: string) => TenantRecord | null;
  readonly clock: Clock;
  readonly lifecycle: Lifecycle;
  readonly audit: Pick<AuditLog, 'append'>;
}

/** Queries of a backtest read more rows than those of pages. */
const clickHouseTimeoutMs = 60_000;
const connectionsMax = 4;

/** Opens the tools with a connection to ClickHouse of their own, so that a backtest delays no page. */
export function openPolicyTools(options: PolicyToolsOptions): PolicyTools {
  const { config, env, watch, recordOf, clock, lifecycle, audit } = options;
  const clickhouse = createClickHouse({
    ...clickHouseServer(config),
    requestTimeoutMs: clickHouseTimeoutMs,
    connectionsMax,
    settings: { cancel_http_readonly_queries_on_client_close: 1 },
  });
  lifecycle.onClose('clickhouse of backtests', () => clickhouse.close());
  const backtests = createBacktests({ clickhouse, recordOf }, () => clock.now());
  lifecycle.onClose('backtests', () => backtests.close());
  const { TOLLGATE_POLICY: file, TOLLGATE_POLICY_WRITABLE: isPermitted } = config;
  return {
    editor: createPolicyEditor({ watch, file, isPermitted, env, clickhouse, audit, clock }),
    backtests,
    revisions: {
      list: (limit) => listPolicyRevisions(clickhouse, limit),
      find: (revision) => findPolicyRevision(clickhouse, revision),
    },
    shadowResults: createShadowReader(clickhouse, () => watch.current(), clock),
  };
}
