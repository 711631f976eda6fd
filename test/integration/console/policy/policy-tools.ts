import { Registry } from 'prom-client';
import { createBacktests } from '../../../../shared/backtest/backtests.ts';
import type { ClickHouse } from '../../../../shared/clickhouse/client.ts';
import {
  findPolicyRevision,
  listPolicyRevisions,
} from '../../../../shared/clickhouse/queries/policy/revisions.ts';
import type { AuditLog } from '../../../../shared/kafka/audit-log.ts';
import type { TenantDirectory } from '../../../../shared/kafka/tables/tenant-directory.ts';
import type { PolicyTools } from '../../../../shared/policy-changes/open-policy-tools.ts';
import { createPolicyEditor } from '../../../../shared/policy-changes/policy-editor.ts';
import { createShadowReader } from '../../../../shared/policy-changes/shadow-results.ts';
import { watchPolicy } from '../../../../shared/policy/load.ts';
import { createLogger } from '../../../../shared/runtime/logger.ts';
import { systemClock } from '../../../../shared/runtime/time/clock.ts';

interface ToolsOptions {
  readonly policyPath: string;
  readonly policyIsWritable: boolean;
  readonly directory: Pick<TenantDirectory, 'get'>;
  readonly clickhouse: ClickHouse;
  readonly audit: Pick<AuditLog, 'append'>;
  readonly env: Readonly<Record<string, string>>;
}

/** The tools of operators for the policy. */
export async function openTools({
  policyPath: file,
  policyIsWritable,
  directory,
  clickhouse,
  audit,
  env,
}: ToolsOptions): Promise<PolicyTools & { close(): Promise<void> }> {
  const logger = createLogger('test', 'silent');
  const watch = await watchPolicy(file, env, { logger, registry: new Registry() });
  const recordOf = (id: string) => directory.get(id) ?? null;
  const backtests = createBacktests({ clickhouse, recordOf }, () => Date.now());
  const shared = { watch, file, clickhouse, audit, clock: systemClock };
  return {
    editor: createPolicyEditor({ ...shared, env, isPermitted: policyIsWritable }),
    backtests,
    revisions: {
      list: (limit) => listPolicyRevisions(clickhouse, limit),
      find: (revision) => findPolicyRevision(clickhouse, revision),
    },
    shadowResults: createShadowReader(clickhouse, () => watch.current(), systemClock),
    close: async () => {
      await backtests.close();
      await watch.close();
    },
  };
}
