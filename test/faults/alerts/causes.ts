import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { budgetCauses } from './budget-causes.ts';
import { credentialCauses } from './credential-causes.ts';
import { bulkyEvents, damageSegments } from './damaged-spool.ts';
import type { Cause } from './cause.ts';
import { callsOfNewTenant, repeatWork } from './load.ts';

/** Size of the file system with the spool of the second gateway. */
export const secondDiskBytes = 128 * 1024 * 1024;

const run = promisify(execFile);

export const causes: readonly Cause[] = [
  {
    title: 'a node that is cut off from Redis',
    alerts: ['TollgateNodeDegraded'],
    cause: async (fixture) => {
      const { main, second } = await callsOfNewTenant(fixture, 'large');
      const loads = [repeatWork(10, main), repeatWork(2, second)];
      fixture.path.set({ kind: 'swallow' });
      return async () => {
        fixture.path.set({ kind: 'pass' });
        await Promise.all(loads.map((load) => load.stop()));
      };
    },
  },
  {
    title: 'a service that was killed',
    alerts: ['TollgateServiceDown'],
    cause: async ({ run: { installation } }) => {
      await installation.service('reconciler').kill();
      return () => installation.service('reconciler').restart();
    },
  },
  {
    title: 'a tenant that used 90 % of its day, and whose receiver is gone',
    alerts: ['TollgateTenantOver90', 'TollgateDeliveriesFailing'],
    cause: async (fixture) => {
      const tenantId = uniqueName('nearly');
      const secrets = [`whsec_${Buffer.from(randomUUID()).toString('base64')}`];
      const answer = await fixture.run.admin(`PUT /admin/v1/tenants/${tenantId}`, {
        plan: 'small',
        notifications: { webhooks: [{ url: 'http://127.0.0.1:9/gone', secrets }] },
      });
      if (answer.status >= 300) throw new Error(answer.text);
      const token = await fixture.run.token({ tenant_id: tenantId, tier: 'small' });
      await eventually(async () => {
        const { headers } = await fixture.run.call('GET /things', { token });
        return Number(headers.get('x-ratelimit-remaining')) <= 1;
      });
      return () => Promise.resolve();
    },
  },
  {
    title: 'a client in a loop above its limit',
    alerts: ['TollgateRejectionSpike'],
    cause: async (fixture) => {
      const load = repeatWork(20, (await callsOfNewTenant(fixture, 'tight')).main);
      return () => load.stop();
    },
  },
  ...credentialCauses,
  ...budgetCauses,
  {
    title: 'records that cannot be read',
    alerts: ['TollgateDeadLetters'],
    cause: async ({ run: { installation }, kafka }) => {
      const producer = createProducer(
        createKafka({ brokers: kafka.brokers, clientId: 'test', logger: pino({ level: 'silent' }) }),
        { registry: new Registry() },
      );
      const { usage } = topicsWith(installation.env['TOLLGATE_TOPIC_PREFIX'] ?? '');
      await producer.send(usage, [{ key: 'unreadable', value: 'no event at all' }]);
      await producer.close();
      return () => Promise.resolve();
    },
  },
  {
    title: 'a Redis that answers late',
    alerts: ['TollgateCheckSlow'],
    cause: async (fixture) => {
      const load = repeatWork(10, (await callsOfNewTenant(fixture, 'large')).second);
      fixture.path.set({ kind: 'slow', delayMs: 4 });
      return async () => {
        fixture.path.set({ kind: 'pass' });
        await load.stop();
      };
    },
  },
  {
    title: 'a gateway whose clock is 15 minutes behind',
    alerts: ['TollgateClockWrong'],
    cause: (fixture) => {
      fixture.gatewayClock.set(-900_000);
      return Promise.resolve(() => {
        fixture.gatewayClock.set(0);
        return Promise.resolve();
      });
    },
  },
  {
    title: 'a Redis whose clock is an hour ahead for a moment, again and again',
    alerts: ['TollgateRedisClockSetBack'],
    cause: async (fixture) => {
      const { main } = await callsOfNewTenant(fixture, 'tight');
      const load = repeatWork(1, async () => {
        fixture.redisClock.set(3_600_000);
        await main();
        fixture.redisClock.set(0);
        await main();
      });
      return () => load.stop();
    },
  },
  {
    title: 'a Redis that is dead',
    alerts: ['TollgateRedisFailing'],
    cause: async (fixture) => {
      const load = repeatWork(10, (await callsOfNewTenant(fixture, 'large')).main);
      await fixture.redis.kill();
      return async () => {
        await fixture.redis.restart();
        await load.stop();
      };
    },
  },
  {
    title: 'rows that ClickHouse lost',
    alerts: ['TollgateLossFound'],
    cause: async ({ run: { clickhouse, ...gateway } }) => {
      const tenant = uniqueName('lost');
      const token = await gateway.token({ tenant_id: tenant, tier: 'large' });
      await gateway.calls(3, 'GET /things', { token });
      const of = 'WHERE tenant_id = {tenant:String}';
      const named = { tenant };
      await eventually(async () => {
        const counting = `SELECT count() AS n FROM usage_events ${of}`;
        const rows = await clickhouse.query<{ n: number }>(counting, named);
        return rows[0]?.n === 3;
      });
      await clickhouse.command(
        `CREATE TABLE lost_rows ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM stored_events ${of}`,
        named,
      );
      await clickhouse.command(`ALTER TABLE stored_events DELETE ${of} SETTINGS mutations_sync = 2`, named);
      return async () => {
        await clickhouse.command('INSERT INTO stored_events SELECT * FROM lost_rows');
      };
    },
  },
  {
    title: 'a disk that accepts no more events',
    alerts: ['TollgateSpoolMemoryOnly'],
    cause: async (fixture) => {
      const gateway = fixture.run.installation.service('gateway');
      // Limits the size of the gateway's files, so that its writes fail as on a full disk.
      const fileBytesMax = (bytes: string) =>
        run('prlimit', ['--pid', String(gateway.pid()), `--fsize=${bytes}:`]);
      await fileBytesMax('1');
      const load = repeatWork(5, (await callsOfNewTenant(fixture, 'large')).main);
      return async () => {
        await load.stop();
        await fileBytesMax('unlimited');
      };
    },
  },
  {
    title: 'a spool on a disk that is nearly full',
    alerts: ['TollgateSpoolDiskFilling'],
    thresholdSeconds: 15,
    cause: async ({ secondDisk }) => {
      if (secondDisk === null) throw new Error('this fault needs a disk for the second gateway');
      const file = join(secondDisk.path, 'of-another-program');
      await writeFile(file, Buffer.alloc(secondDiskBytes * 0.95));
      return () => rm(file);
    },
  },
  {
    title: 'an aggregator on a runtime without a function of the language',
    alerts: ['TollgateProcessingFails'],
    cause: async (fixture) => {
      const aggregator = fixture.run.installation.service('aggregator');
      const token = await fixture.run.token({ tenant_id: uniqueName('handled'), tier: 'large' });
      const load = repeatWork(5, () => fixture.run.call('GET /things', { token }));
      await aggregator.restart({ NODE_OPTIONS: '--import=data:text/javascript,delete%20Map.groupBy' });
      return async () => {
        await aggregator.restart();
        await load.stop();
      };
    },
  },
  {
    title: 'a spool that is damaged where Kafka does not have its events yet',
    alerts: ['TollgateEventsLost'],
    cause: async (fixture) => {
      const { installation } = fixture.run;
      const token = await fixture.run.token({ tenant_id: uniqueName('damaged'), tier: 'large' });
      fixture.kafka.pause();
      // More events than the gateway keeps in memory for Kafka, so that some are only in segments.
      for (let batch = 0; batch < 8; batch += 1) {
        const headers = { 'content-type': 'application/cloudevents-batch+json' };
        await fixture.run.api('POST /v1/events', { token, headers, body: bulkyEvents() });
      }
      await damageSegments(installation.env['TOLLGATE_SPOOL_DIR'] ?? '');
      fixture.kafka.resume();
      const lost = /^tollgate_spool_dropped_total\{[^}]*unreadable[^}]*\} [1-9]/m;
      const { opsUrl } = installation.service('gateway');
      await eventually(async () => lost.test(await (await fetch(`${opsUrl}/metrics`)).text()), {
        timeoutMs: 60_000,
      });
      return () => Promise.resolve();
    },
  },
  {
    title: 'a node that lost its disk with the events of 3,000 units',
    alerts: ['TollgateLossFound'],
    consequences: ['TollgateDrift'],
    cause: async (fixture) => {
      const { installation } = fixture.run;
      const tenantId = uniqueName('drifted');
      const token = await fixture.run.token({ tenant_id: tenantId, tier: 'large' });
      fixture.kafka.pause();
      await fixture.run.calls(5, 'POST /bulk', { token });
      await installation.service('gateway').kill();
      await rm(installation.env['TOLLGATE_SPOOL_DIR'] ?? '', { recursive: true, force: true });
      fixture.kafka.resume();
      await installation.service('gateway').restart();
      // Load is needed because counters are compared only when totals are announced, and the metric covers only the
      // comparisons of the last minute.
      const load = repeatWork(1, () => fixture.run.call('GET /things', { token }));
      return async () => {
        await fixture.run.admin(`POST /admin/v1/tenants/${tenantId}/reset`, { reason: 'events were lost' });
        await eventually(async () => !(await fixture.firing()).includes('TollgateDrift'), {
          timeoutMs: 90_000,
        });
        await load.stop();
      };
    },
  },
  {
    title: 'a Kafka that does not respond',
    alerts: ['TollgateKafkaUnavailable'],
    consequences: ['TollgateSpoolFilling'],
    thresholdSeconds: 90,
    cause: async (fixture) => {
      const load = repeatWork(2, (await callsOfNewTenant(fixture, 'large')).main);
      fixture.kafka.pause();
      return async () => {
        fixture.kafka.resume();
        await load.stop();
        await fixture.restartEnded();
      };
    },
  },
  {
    title: 'a ClickHouse that is dead',
    alerts: ['TollgateLag'],
    consequences: ['TollgateFreshness', 'TollgateHeartbeatMissing'],
    thresholdSeconds: 180,
    cause: async (fixture) => {
      const load = repeatWork(2, (await callsOfNewTenant(fixture, 'large')).main);
      await fixture.clickhouse.kill();
      return async () => {
        await fixture.clickhouse.restart();
        await load.stop();
        await fixture.restartEnded();
      };
    },
  },
];
