import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { alertRules } from '../../../../dashboards/alerts/alert-rules.ts';
import { renderAll } from '../../../../dashboards/render.ts';
import { needProgram } from '../../../../dev/packages.ts';

/** Runs promtool on the generated files of Prometheus, which are written to a separate folder. */
export interface Promtool {
  /** Standard output of `promtool check`. Rejects when promtool finds a violation. */
  check(command: 'rules' | 'config', file: string): Promise<string>;
  /**
   * Evaluates the named alerts, and the recording rules that they read, every 10 s over the series of the tests. Rejects when an alert
   * differs.
   */
  testRules(alerts: readonly string[], tests: readonly object[]): Promise<void>;
  close(): Promise<void>;
}

export async function openPromtool(): Promise<Promtool> {
  const run = promisify(execFile);
  const promtool = await needProgram('promtool', (line) => process.stderr.write(`${line}\n`));
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-rules-'));
  for (const [path, text] of renderAll()) {
    if (path.startsWith('prometheus/')) await writeFile(join(dir, path.slice('prometheus/'.length)), text);
  }
  return {
    check: async (command, file) => (await run(promtool, ['check', command, join(dir, file)])).stdout,
    testRules: async (alerts, tests) => {
      const path = join(dir, 'test.yml');
      await writeFile(join(dir, 'tested.yml'), stringify(rulesFileWith(alerts)));
      await writeFile(path, stringify({ rule_files: ['tested.yml'], evaluation_interval: '10s', tests }));
      await run(promtool, ['test', 'rules', path]);
    },
    close: () => rm(dir, { recursive: true, force: true }),
  };
}

export function inputSeries(series: Readonly<Record<string, string>>): object[] {
  return Object.entries(series).map(([key, values]) => ({ series: key, values }));
}

/** An alert as promtool expects it. */
export function alertOf(
  name: string,
  labels: Readonly<Record<string, string>>,
  summary: string,
  where?: string,
): object {
  const severity = alertRules.find((rule) => rule.name === name)?.severity;
  const annotations = { ...annotationsOf(name, summary), ...(where !== undefined && { where }) };
  return { exp_labels: { severity, ...labels }, exp_annotations: annotations };
}

interface RulesFile {
  readonly groups: readonly {
    readonly rules: readonly {
      readonly alert?: string;
      readonly expr: string;
      readonly record?: string;
      readonly annotations?: Readonly<Record<string, string>>;
    }[];
  }[];
}

/** The rules file without the alerts that a test does not need: promtool evaluates every rule at every time. */
function rulesFileWith(alerts: readonly string[]): RulesFile {
  const { groups } = generatedRules();
  const conditions = groups
    .flatMap(({ rules }) => rules)
    .filter(({ alert = '' }) => alerts.includes(alert))
    .map(({ expr }) => expr)
    .join(' ');
  return {
    groups: groups.map((group) => ({
      ...group,
      rules: group.rules.filter(({ alert, record }) =>
        alert === undefined ? conditions.includes(record ?? '') : alerts.includes(alert),
      ),
    })),
  };
}

function generatedRules(): RulesFile {
  return parse(renderAll().get('prometheus/rules.yml') ?? '') as RulesFile;
}

/** The annotations of the rules file, with the expected text of the summary. */
function annotationsOf(name: string, summary: string): Readonly<Record<string, string>> {
  const rule = generatedRules()
    .groups.flatMap(({ rules }) => rules)
    .find(({ alert }) => alert === name);
  return { ...rule?.annotations, summary };
}
