/**
 * Goal: whoever is on call hears of each fault, by real Prometheus and real Alertmanager, and hears when it is over.
 * Method: the whole installation runs on servers of its own; each fault is caused for real, its notification awaited at
 * an HTTP receiver, the fault healed, and the word that it is over awaited too. Queries, thresholds and routes are the
 * generated ones; only ranges, `for` and the pauses of evaluation and grouping are shorter, all by the same factor.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alertRules } from '../../../dashboards/alerts/alert-rules.ts';
import { runbookUid } from '../../../dashboards/boards/sources.ts';
import { eventually } from '../../support/servers.ts';
import { startAlertFixture } from './fixture.ts';
import type { AlertFixture } from './fixture.ts';
import { causes } from './causes.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
/** Two minutes, the shortest range, must hold several scrapes in the long form; in the short one no such rule fires. */
const times = long ? 30 : 90;
/** What the normal run has time for. */
const shortOnes = ['TollgateNodeDegraded', 'TollgateServiceDown', 'TollgateTenantOver90'];
const chosen = long ? causes : causes.filter(({ alerts: [first = ''] }) => shortOnes.includes(first));
let fixture: AlertFixture;

beforeAll(async () => {
  fixture = await startAlertFixture(times);
});

afterAll(() => fixture.stop());

test('B8: every alert rule has a fault that sets it off', () => {
  const set = causes.flatMap(({ alerts }) => alerts).toSorted();
  expect(set).toEqual(alertRules.map(({ name }) => name).toSorted());
});

describe('B8: on-call hears of it, and hears when it is over', () => {
  test.each(chosen)(
    '$title: $alerts',
    { timeout: 600_000 },
    async ({ alerts, cause, thresholdSeconds = 0 }) => {
      await eventually(async () => (await fixture.firing()).every((name) => !alerts.includes(name)), {
        timeoutMs: 120_000,
      });
      const causedAtMs = Date.now();
      const heal = await cause(fixture);
      const told: string[] = [];
      let healedAtMs = 0;
      try {
        for (const name of alerts) {
          const seconds = await untilTold(name, 'firing', causedAtMs, thresholdSeconds);
          told.push(`${name} told after ${seconds} s`);
        }
      } finally {
        healedAtMs = Date.now();
        await heal();
      }
      for (const name of alerts) {
        const seconds = await untilTold(name, 'resolved', healedAtMs, 0);
        told.push(`${name} over after ${seconds} s`);
      }
      process.stderr.write(`${told.join(', ')}\n`);
    },
  );
});

/** Seconds since `sinceMs` after which the alert was told to whom it concerns, in words that say what and where to look. */
async function untilTold(
  name: string,
  status: 'firing' | 'resolved',
  sinceMs: number,
  thresholdSeconds: number,
): Promise<string> {
  const told = await eventually(
    () => {
      const latest = fixture.onCall.latest(name);
      return latest?.status === status ? latest : null;
    },
    { timeoutMs: (thresholdSeconds + 120) * 1000, intervalMs: 100 },
  ).catch(async (error: unknown) => {
    const known = fixture.onCall.told.map((one) => `${one.name} ${one.status}`).join(', ');
    const firing = (await fixture.firing()).join(', ');
    throw new Error(`${name} was not told as ${status}; told: ${known}; fires now: ${firing}`, {
      cause: error,
    });
  });
  const rule = alertRules.find((one) => one.name === name)!;
  expect(told.receiver).toBe(rule.severity === 'critical' ? 'on-call' : 'team');
  expect(told.labels['severity']).toBe(rule.severity);
  expect(told.annotations['summary']).toMatch(/\d/);
  expect(told.annotations['summary']).not.toMatch(/VALUE|\{\{|<no value>|error/i);
  expect(told.annotations['runbook_url']).toContain(`/d/${runbookUid(rule.runbook)}`);
  expect(told.annotations['dashboard_url']).toMatch(/viewPanel=panel-\d+$/);
  if (status === 'firing') process.stderr.write(`${told.annotations['summary'] ?? ''}\n`);
  return ((told.atMs - sinceMs) / 1000).toFixed(1);
}
