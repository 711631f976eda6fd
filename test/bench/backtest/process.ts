import { readFile } from 'node:fs/promises';
import { runBacktest } from '../../../shared/backtest/run-backtest.ts';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import { parsePolicy } from '../../../shared/policy/load.ts';

/** What the process of a backtest is started with, as JSON in its first argument. */
export interface BacktestRun {
  readonly url: string;
  readonly database: string;
  readonly policyPath: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface BacktestFigures {
  readonly requests: number;
  readonly newlyRefused: number;
  readonly agreement: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** Largest resident memory of the process, and its resident memory before the backtest. */
  readonly peakMebibytes: number;
  readonly idleMebibytes: number;
  /** Longest time that other work of the process waited. */
  readonly blockedMs: number;
}

const run = JSON.parse(process.argv[2] ?? '') as BacktestRun;
const text = await readFile(run.policyPath, 'utf8');
const policyOf = (content: string) => parsePolicy(run.policyPath, content, process.env);
const inForce = policyOf(text);
const proposed = policyOf(
  text.replace('name: minute, per: tenant, limit: 1000', 'name: minute, per: tenant, limit: 500'),
);
const clickhouse = createClickHouse({ url: run.url, database: run.database });
const idleBytes = process.memoryUsage.rss();

let [blockedMs, lastMs] = [0, performance.now()];
const intervalMs = 5;
const timer = setInterval(() => {
  blockedMs = Math.max(blockedMs, performance.now() - lastMs - intervalMs);
  lastMs = performance.now();
}, intervalMs);
const [startedAt, cpu] = [performance.now(), process.cpuUsage()];
const {
  requests,
  newly_refused: newlyRefused,
  agreement,
} = await runBacktest(
  { policy: proposed, inForce, fromMs: run.fromMs, toMs: run.toMs, tenantId: null },
  { clickhouse, recordOf: () => null },
);
const used = process.cpuUsage(cpu);
clearInterval(timer);
const figures: BacktestFigures = {
  ...{ requests, newlyRefused, blockedMs, agreement: agreement.share ?? NaN },
  seconds: (performance.now() - startedAt) / 1000,
  cpuSeconds: (used.user + used.system) / 1e6,
  peakMebibytes: process.resourceUsage().maxRSS / 1024,
  idleMebibytes: idleBytes / 2 ** 20,
};
await clickhouse.close();
process.stdout.write(JSON.stringify(figures));
