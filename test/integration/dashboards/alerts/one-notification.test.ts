/**
 * Goal: a fault that raises several alerts notifies on-call once, and two faults notify twice. Method: a real
 * Alertmanager with the generated routes and inhibitions receives the alerts of each fault at their times. All times are
 * divided by `speedup`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import { alertRules } from '../../../../dashboards/alerts/alert-rules.ts';
import { alertmanagerConfig } from '../../../../dashboards/alerts/prometheus.ts';
import { shortenedTiming } from '../../../../dashboards/alerts/timing.ts';
import { needProgram } from '../../../../dev/packages.ts';
import { startAlertmanagerServer } from '../../../../dev/servers/prometheus.ts';
import { startOnCall } from '../../../faults/alerts/on-call.ts';
import type { OnCall } from '../../../faults/alerts/on-call.ts';
import { eventually } from '../../../support/servers.ts';

const speedup = 120;
/** The wait for further alerts is long enough for a busy machine. */
const timing = { ...shortenedTiming(speedup), groupWaitSeconds: 0.5 };

/** An alert that fires from `from` to `until`, in seconds since the fault. */
interface Firing {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly from: number;
  readonly until: number;
}

/** Each fault lasts 600 s. The times follow from the rules: the time to reach the threshold, and `for`. */
const faults: readonly (readonly [title: string, notified: readonly string[], firing: readonly Firing[]])[] =
  [
    [
      'Redis is dead',
      ['TollgateRedisFailing'],
      [
        { name: 'TollgateRedisFailing', from: 35, until: 695 },
        { name: 'TollgateNodeDegraded', labels: { instance: 'a:8090' }, from: 65, until: 605 },
        { name: 'TollgateNodeDegraded', labels: { instance: 'b:8090' }, from: 70, until: 605 },
        { name: 'TollgateRejectionSpike', from: 420, until: 690 },
      ],
    ],
    [
      'one of many gateways is cut off from Redis',
      ['TollgateNodeDegraded'],
      [
        { name: 'TollgateNodeDegraded', labels: { instance: 'a:8090' }, from: 65, until: 605 },
        { name: 'TollgateCheckSlow', from: 330, until: 600 },
      ],
    ],
    [
      'the aggregator is killed',
      ['TollgateServiceDown'],
      [
        { name: 'TollgateServiceDown', labels: job('aggregator'), from: 65, until: 720 },
        { name: 'TollgateHeartbeatMissing', from: 250, until: 660 },
      ],
    ],
    [
      'the alerter is killed',
      ['TollgateServiceDown'],
      [
        { name: 'TollgateServiceDown', labels: job('alerter'), from: 65, until: 720 },
        { name: 'TollgateHeartbeatMissing', from: 66, until: 660 },
      ],
    ],
    [
      'the machine with all services is down',
      ['TollgateServiceDown'],
      [
        ...['gateway', 'aggregator', 'reconciler', 'alerter', 'admin', 'console'].map((name) => ({
          ...{ name: 'TollgateServiceDown', labels: job(name), from: 65, until: 720 },
        })),
        { name: 'TollgateHeartbeatMissing', from: 66, until: 660 },
      ],
    ],
    [
      'ClickHouse is dead',
      ['TollgateLag'],
      [
        { name: 'TollgateLag', labels: group('aggregator'), from: 185, until: 750 },
        { name: 'TollgateFreshness', from: 245, until: 630 },
        { name: 'TollgateHeartbeatMissing', from: 250, until: 660 },
      ],
    ],
    [
      'Kafka is dead',
      ['TollgateKafkaUnavailable'],
      [
        { name: 'TollgateKafkaUnavailable', from: 80, until: 740 },
        { name: 'TollgateSpoolFilling', labels: { instance: 'a:8090' }, from: 125, until: 615 },
        { name: 'TollgateSpoolFilling', labels: { instance: 'b:8090' }, from: 130, until: 615 },
        { name: 'TollgateLag', labels: group('aggregator'), from: 200, until: 730 },
        { name: 'TollgateFreshness', from: 260, until: 620 },
        { name: 'TollgateHeartbeatMissing', from: 250, until: 660 },
      ],
    ],
    [
      'a release of the aggregator has an error in its code',
      ['TollgateProcessingFails'],
      [
        { name: 'TollgateProcessingFails', labels: group('t.aggregator'), from: 10, until: 900 },
        { name: 'TollgateDeadLetters', labels: { topic: 'tollgate.usage.v1' }, from: 60, until: 900 },
        { name: 'TollgateLag', labels: group('t.aggregator'), from: 185, until: 750 },
        { name: 'TollgateFreshness', from: 245, until: 630 },
        { name: 'TollgateHeartbeatMissing', from: 250, until: 660 },
      ],
    ],
    [
      'the aggregator is killed while calls are in progress: their settlements are stored late',
      ['TollgateServiceDown'],
      [
        { name: 'TollgateServiceDown', labels: job('aggregator'), from: 65, until: 720 },
        { name: 'TollgateReservationsExpired', from: 660, until: 680 },
      ],
    ],
    [
      'a gateway is killed, and its calls are never settled',
      ['TollgateReservationsExpired'],
      [{ name: 'TollgateReservationsExpired', from: 960, until: 1_200 }],
    ],
    [
      'a gateway loses events',
      ['TollgateEventsLost'],
      [
        { name: 'TollgateEventsLost', labels: { instance: 'a:8090' }, from: 10, until: 900 },
        { name: 'TollgateLossFound', labels: { kind: 'sequence' }, from: 370, until: 890 },
        { name: 'TollgateDrift', labels: { direction: 'ahead' }, from: 610, until: 890 },
      ],
    ],
    [
      'ClickHouse lost rows',
      ['TollgateLossFound'],
      [
        { name: 'TollgateLossFound', labels: { kind: 'offset' }, from: 370, until: 900 },
        { name: 'TollgateDrift', labels: { direction: 'ahead' }, from: 610, until: 890 },
      ],
    ],
    [
      'the clock of Redis is wrong',
      ['TollgateClockWrong'],
      [
        { name: 'TollgateClockWrong', labels: { instance: 'a:8090', clock: 'redis' }, from: 65, until: 900 },
        { name: 'TollgateRedisClockSetBack', from: 100, until: 890 },
      ],
    ],
    [
      'two faults: Redis is dead, and the reconciler has a bug',
      ['TollgateProcessingFails', 'TollgateRedisFailing'],
      [
        { name: 'TollgateRedisFailing', from: 35, until: 695 },
        { name: 'TollgateProcessingFails', labels: group('reconciler'), from: 100, until: 700 },
      ],
    ],
    [
      'two faults: the aggregator is killed, and a consumer of the alerter is behind',
      ['TollgateLag', 'TollgateServiceDown'],
      [
        { name: 'TollgateServiceDown', labels: job('aggregator'), from: 65, until: 720 },
        { name: 'TollgateLag', labels: group('alerter-evaluate'), from: 185, until: 700 },
      ],
    ],
  ];

function job(service: string): Readonly<Record<string, string>> {
  return { job: `tollgate-${service}`, instance: `${service}:1` };
}

function group(name: string): Readonly<Record<string, string>> {
  return { group: name };
}

test.concurrent.each(faults)(
  'B8: %s → one notification for each of %s, and one of its end',
  async (_, notified, firing) => {
    const onCall = await startOnCall();
    const dir = await mkdtemp(join(tmpdir(), 'tollgate-alertmanager-'));
    const alertmanager = await startAlertmanagerServer({
      command: await needProgram('prometheus-alertmanager', (line) => process.stderr.write(`${line}\n`)),
      dir,
      config: stringify(
        alertmanagerConfig({ onCallUrl: `${onCall.url}/on-call`, teamUrl: `${onCall.url}/team` }, timing),
      ),
    });
    try {
      await replay(alertmanager.url, firing);
      await eventually(() => namesOf(onCall, 'resolved').length === notified.length);
      expect(namesOf(onCall, 'firing')).toEqual(notified);
      expect(namesOf(onCall, 'resolved')).toEqual(notified);
    } finally {
      await alertmanager.stop();
      onCall.close();
      await rm(dir, { recursive: true, force: true });
    }
  },
);

/** Posts starts and ends of the alerts at their times. Like Prometheus, it posts those of one time together. */
async function replay(url: string, firing: readonly Firing[]): Promise<void> {
  const startMs = Date.now();
  const times = new Set(firing.flatMap(({ from, until }) => [from, until]));
  const post = async (atSeconds: number): Promise<void> => {
    const alerts = firing
      .filter(({ from, until }) => from === atSeconds || until === atSeconds)
      .map(({ name, labels, from, until }) => ({
        labels: {
          alertname: name,
          severity: alertRules.find((rule) => rule.name === name)?.severity,
          ...labels,
        },
        // Like Prometheus: the time at which it fires. Alertmanager does not wait for a group that fires for long.
        startsAt: new Date(startMs + (from * 1000) / speedup).toISOString(),
        endsAt: new Date(Date.now() + (until === atSeconds ? 0 : 3_600_000)).toISOString(),
      }));
    const answer = await fetch(`${url}/api/v2/alerts`, {
      ...{ method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(alerts) },
    });
    expect(answer.status).toBe(200);
  };
  // Each post waits for its time and for the post before it, so that a busy machine cannot change their order.
  await [...times]
    .toSorted((a, b) => a - b)
    .map((atSeconds) => ({
      atSeconds,
      due: new Promise<void>((resolve) => {
        setTimeout(
          () => {
            resolve();
          },
          (atSeconds * 1000) / speedup,
        );
      }),
    }))
    .reduce<Promise<void>>(async (before, { atSeconds, due }) => {
      await Promise.all([before, due]);
      await post(atSeconds);
    }, Promise.resolve());
}

/** Names of the alerts of each notification with this status, sorted; a notification has alerts of one name. */
function namesOf({ received }: OnCall, status: 'firing' | 'resolved'): string[] {
  const named = new Map(
    received.filter((one) => one.status === status).map(({ notification, name }) => [notification, name]),
  );
  return [...named.values()].toSorted();
}
