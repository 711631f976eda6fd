import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startClickHouseServer } from '../../dev/servers/clickhouse.ts';
import { freePort } from '../../dev/servers/free-port.ts';
import { loadPolicy } from '../../shared/policy/load.ts';
import type { BacktestFigures, BacktestRun } from './backtest/process.ts';
import { median, table } from './bench.ts';
import type { Bench, BenchOptions } from './bench.ts';
import { eventsSql } from './console/fill-sql.ts';
import { openDatabase } from './storage/history.ts';

/** How fast a backtest decides recorded requests again, and how much memory it needs. */
export const bench: Bench = {
  name: 'backtest',
  title: 'A backtest of a proposed policy',
  isPartOfTable: true,
  async run(options) {
    const { dir, quick, say } = options;
    const server = await startClickHouseServer({ dir, port: await freePort(), say });
    const clickhouse = await openDatabase(server.url, database);
    try {
      const policy = await loadPolicy(policyPath, secrets);
      const toMs = Date.now();
      const requests = quick ? 50_000 : 1_000_000;
      // Half an hour before the range, so that windows and quotas begin as full as they were.
      const span = { tenants: 1_000, fromMs: toMs - 1.5 * hourMs, toMs, events: 1.5 * requests };
      await clickhouse.command(eventsSql, { ...span, revision: policy.revision });
      say('  events inserted');
      return await measure({ url: server.url, database, policyPath, fromMs: toMs - hourMs, toMs }, options);
    } finally {
      await clickhouse.close();
      await server.stop();
    }
  },
};

const hourMs = 3_600_000;
const database = 'backtest_bench';
const policyPath = 'policies/default.yaml';
const secrets = {
  TOLLGATE_JWT_SECRET: randomBytes(32).toString('hex'),
  TOLLGATE_SERVICE_TOKEN: randomBytes(32).toString('hex'),
};

async function measure(run: BacktestRun, { quick, say, record }: BenchOptions): Promise<string> {
  const rounds: BacktestFigures[] = [];
  for (let round = 0; round < (quick ? 1 : 3); round += 1) {
    rounds.push(await backtest(run));
    say(`  round ${round + 1}: ${rateOf(rounds[round]).toFixed(0)}/s`);
  }
  const middle = (figure: (of: BacktestFigures) => number): number => median(rounds.map(figure));
  record('backtestRate', middle(rateOf));
  record('backtestMebibytes', Math.max(...rounds.map(({ peakMebibytes }) => peakMebibytes)));
  const rows: [string, (of: BacktestFigures) => number, number][] = [
    ['requests', ({ requests }) => requests, 0],
    ['requests/s', rateOf, 0],
    ['seconds', ({ seconds }) => seconds, 1],
    ['CPU µs a request', ({ cpuSeconds, requests }) => (cpuSeconds * 1e6) / requests, 1],
    ['resident memory before, MiB', ({ idleMebibytes }) => idleMebibytes, 0],
    ['resident memory, most, MiB', ({ peakMebibytes }) => peakMebibytes, 0],
    ['longest wait of other work, ms', ({ blockedMs }) => blockedMs, 0],
  ];
  return [
    'One hour of requests of 1,000 tenants and half an hour before it, in a process that does nothing else, with ' +
      `\`policies/default.yaml\` in force and a proposal with half of a limit, so two policies are replayed. ${rounds.length} ` +
      `rounds, medians; load average ${loadavg()[0]?.toFixed(1) ?? '?'}. Aim: a million requests in a minute.`,
    table(
      ['figure', 'measured'],
      rows.map(([name, figure, digits]) => [name, middle(figure).toFixed(digits)]),
    ),
  ].join('\n\n');
}

async function backtest(run: BacktestRun): Promise<BacktestFigures> {
  const script = join(import.meta.dirname, 'backtest/process.ts');
  const env = { PATH: process.env['PATH'], ...secrets };
  const { stdout } = await promisify(execFile)(process.execPath, [script, JSON.stringify(run)], { env });
  return JSON.parse(stdout) as BacktestFigures;
}

function rateOf(figures: BacktestFigures | undefined): number {
  return (figures?.requests ?? 0) / (figures?.seconds ?? NaN);
}
