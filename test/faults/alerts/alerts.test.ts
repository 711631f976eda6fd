/**
 * Goal: on-call is notified of each fault, and of its end, by a real Prometheus and a real Alertmanager. Method: the
 * complete installation runs on its own servers. The test injects each fault, waits for its notification at an HTTP
 * receiver, ends the fault, and waits for the notification of the end. Queries, thresholds and routes are generated as
 * for production; only ranges, `for` and the intervals of evaluation and grouping are shorter, all by the same factor.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { alertRules } from '../../../dashboards/alerts/alert-rules.ts';
import { runbookUid } from '../../../dashboards/boards/sources.ts';
import { eventually } from '../../support/servers.ts';
import { startAlertFixture } from './fixture.ts';
import type { AlertFixture } from './fixture.ts';
import { mountTmpfs } from '../disk.ts';
import { causes, secondDiskBytes } from './causes.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
/**
 * Factor by which ranges and intervals are shortened. In the long form the shortest range, 2 minutes, must still
 * contain several scrapes. The rules of the short form have no range.
 */
const times = long ? 30 : 90;
/** The alerts that the short form tests. */
const quickAlerts = ['TollgateNodeDegraded', 'TollgateServiceDown', 'TollgateTenantOver90'];
const chosen = long ? causes : causes.filter(({ alerts: [first = ''] }) => quickAlerts.includes(first));
let fixture: AlertFixture;

beforeAll(async () => {
  const disk = long ? await mountTmpfs({ bytes: secondDiskBytes, inodes: 5_000 }) : null;
  fixture = await startAlertFixture(times, disk);
});

afterAll(() => fixture.stop());

test('B8: every alert rule has a fault that makes it fire', () => {
  const set = causes.flatMap(({ alerts, consequences = [] }) => [...alerts, ...consequences]);
  expect([...new Set(set)].toSorted()).toEqual(alertRules.map(({ name }) => name).toSorted());
});

describe('B8: on-call is notified when the alert fires and when it is resolved', () => {
  test.each(chosen)(
    '$title: $alerts',
    { timeout: 600_000 },
    async ({ alerts, consequences = [], cause, thresholdSeconds = 0 }) => {
      await eventually(async () => (await fixture.firing()).every((name) => !alerts.includes(name)), {
        timeoutMs: 120_000,
      });
      const causedAtMs = Date.now();
      const earlier = fixture.onCall.received.length;
      const endFault = await cause(fixture);
      const durations: string[] = [];
      let endedAtMs = 0;
      try {
        for (const name of alerts) {
          const seconds = await secondsUntilNotified(name, 'firing', causedAtMs, thresholdSeconds);
          durations.push(`${name} notified after ${seconds} s`);
        }
        for (const name of consequences) {
          await eventually(async () => (await fixture.firing()).includes(name), {
            timeoutMs: (thresholdSeconds + 120) * 1000,
          });
        }
        // After the end, only the replay with a real Alertmanager has the times of production.
        const sent = fixture.onCall.received.slice(earlier).map(({ name }) => name);
        expect(sent.filter((name) => consequences.includes(name))).toEqual([]);
      } finally {
        endedAtMs = Date.now();
        await endFault();
      }
      for (const name of alerts) {
        const seconds = await secondsUntilNotified(name, 'resolved', endedAtMs, 0);
        durations.push(`${name} resolved after ${seconds} s`);
      }
      process.stderr.write(`${durations.join(', ')}\n`);
    },
  );
});

/**
 * Waits until the alert's receiver is notified, and checks that the summary has a value and that runbook and panel are
 * linked. Resolves with the seconds since `sinceMs`.
 */
async function secondsUntilNotified(
  name: string,
  status: 'firing' | 'resolved',
  sinceMs: number,
  thresholdSeconds: number,
): Promise<string> {
  const notification = await eventually(
    () => {
      const latest = fixture.onCall.latest(name);
      return latest?.status === status ? latest : null;
    },
    { timeoutMs: (thresholdSeconds + 120) * 1000, intervalMs: 100 },
  ).catch(async (error: unknown) => {
    const received = fixture.onCall.received.map((one) => `${one.name} ${one.status}`).join(', ');
    const firing = (await fixture.firing()).join(', ');
    throw new Error(`${name} was not received as ${status}; received: ${received}; firing now: ${firing}`, {
      cause: error,
    });
  });
  const rule = alertRules.find((one) => one.name === name)!;
  expect(notification.receiver).toBe(rule.severity === 'critical' ? 'on-call' : 'team');
  expect(notification.labels['severity']).toBe(rule.severity);
  expect(notification.annotations['summary']).toMatch(/\d/);
  expect(notification.annotations['summary']).not.toMatch(/VALUE|\{\{|<no value>|<error|%!/i);
  expect(notification.annotations['runbook_url']).toContain(`/d/${runbookUid(rule.runbook)}`);
  expect(notification.annotations['dashboard_url']).toMatch(/viewPanel=panel-\d+$/);
  if (rule.where !== undefined) expect(notification.annotations['where']).toMatch(/\d/);
  if (status === 'firing') process.stderr.write(`${notification.annotations['summary'] ?? ''}\n`);
  return ((notification.atMs - sinceMs) / 1000).toFixed(1);
}
