// Goal: analysts see a checked request with the outcome that the application reports, whenever the report arrives.
// Method: the events of a real gateway's api listener go through Kafka to a real aggregator and ClickHouse.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLogEnds } from '../../../shared/kafka/offsets/topic-offsets.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { policy, service } from '../gateway/api.ts';
import { startGateway } from '../gateway/gateway.ts';
import type { TestGateway } from '../gateway/gateway.ts';
import { createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';

let fixture: Fixture;
let gateway: TestGateway;
let tenant: string;
beforeEach(async () => {
  fixture = await createFixture();
  gateway = await startGateway({ policy, database: fixture.database });
  tenant = uniqueName('acme');
});
afterEach(async () => {
  await gateway.close();
  await fixture.dispose();
});

async function post(path: string, body: object): Promise<Record<string, unknown>> {
  const response = await fetch(gateway.apiUrl + path, {
    method: 'POST',
    headers: { ...service, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { ...((await response.json()) as object), code: response.status };
}

async function check(): Promise<string> {
  const answer = await post('/v1/check', { tenant_id: tenant, method: 'GET', path: '/agent/list' });
  return answer['decision_id'] as string;
}

/** Sends the events that the gateway wrote since the last call to Kafka, in the order of its spool. */
function publish(): Promise<void> {
  const events = gateway.events.splice(0);
  return fixture.produce(events.map((event) => ({ tenant: event.subject, value: event })));
}

/** Requests, errors and median latency, equal on every level. */
async function untilTotals(expected: object): Promise<void> {
  await eventually(async () => {
    for (const level of ['minute', 'hour', 'day']) {
      const [row] = await fixture.clickhouse.query(
        `SELECT sum(requests) AS requests, sum(errors) AS errors,
              round(quantilesTDigestMerge(0.5, 0.95, 0.99)(latency_state)[1]) AS median
          FROM usage_by_${level}_states WHERE tenant_id = {tenant:String}`,
        { tenant },
      );
      expect(row).toEqual(expected);
    }
    const [events] = await fixture.clickhouse.query(
      `SELECT count() AS requests, countIf(status >= 500) AS errors, round(quantileTDigest(0.5)(latency_ms)) AS median
        FROM usage_events WHERE tenant_id = {tenant:String}`,
      { tenant },
    );
    expect(events).toEqual(expected);
    return true;
  });
}

test('an outcome reported before its event was stored, and twice, counts once on every level', async () => {
  const id = await check();
  const outcome = { status: 503, latency_ms: 256 };
  expect(await post(`/v1/decisions/${id}/outcome`, outcome)).toMatchObject({ code: 202 });
  const written = [...gateway.events];
  await publish();
  // The same outcome, written by another gateway that has no record of the first write.
  await fixture.produce(written.slice(1).map((event) => ({ tenant: event.subject, value: event })));
  const aggregator = fixture.start({ blockRowsMax: 1 });
  await untilTotals({ requests: 1, errors: 1, median: 256 });
  await aggregator.stop();
});

test('an outcome reported after its event was stored replaces status and latency, and the last outcome counts', async () => {
  fixture.start();
  const ids = [await check(), await check()];
  await publish();
  await eventually(async () => {
    const [row] = await fixture.clickhouse.query<{ requests: number }>(
      'SELECT sum(requests) AS requests FROM usage_by_day',
    );
    return row?.requests === 2;
  });
  const outcomes = ids.map((id) => ({ decision_id: id, status: 500, latency_ms: 1_024 }));
  expect(await post('/v1/outcomes', { outcomes })).toMatchObject({ code: 202, accepted: 2 });
  await publish();
  await untilTotals({ requests: 2, errors: 2, median: 1_024 });
  const last = outcomes.map((one) => ({ ...one, status: 200, latency_ms: 64 }));
  expect(await post('/v1/outcomes', { outcomes: last })).toMatchObject({ code: 202, accepted: 2 });
  await publish();
  await untilTotals({ requests: 2, errors: 0, median: 64 });
});

test('the totals are the same after ClickHouse was emptied and the log read again', async () => {
  const first = fixture.start();
  const ids = [await check(), await check(), await check()];
  const outcomes = ids.map((id) => ({ decision_id: id, status: 502, latency_ms: 512 }));
  await post('/v1/outcomes', { outcomes });
  await post('/v1/outcomes', { outcomes: outcomes.slice(0, 1).map((one) => ({ ...one, status: 201 })) });
  await publish();
  const totals = { requests: 3, errors: 2, median: 512 };
  await untilTotals(totals);
  await first.stop();
  for (const table of ['events', 'corrections', 'ids', 'minutes', 'hours', 'days']) {
    await fixture.clickhouse.command(`TRUNCATE TABLE stored_${table}`);
  }
  await readAgain();
  const second = fixture.start();
  await untilTotals(totals);
  await second.stop();
  // The same events are sent again after all of them are stored.
  await readAgain();
  fixture.start({ blockRowsMax: 1 });
  await drained();
  await untilTotals(totals);
});

/** Resolves when every record is committed. */
async function drained(): Promise<void> {
  const log = createLogEnds(fixture.kafka, fixture.topics.usage, groupId());
  await eventually(async () => (await log.read()).every(({ end, committed }) => end === committed), {
    intervalMs: 100,
  });
  log.close();
}

const groupId = (): string => fixture.topics.usage.replace('usage.v1', 'aggregator');

async function readAgain(): Promise<void> {
  const connection = fixture.kafka.open();
  const admin = connection.client.admin();
  await admin.connect();
  const partitions = [0, 1, 2].map((partition) => ({ partition, offset: '0' }));
  await eventually(async () => {
    await admin.setOffsets({ groupId: groupId(), topic: fixture.topics.usage, partitions });
    return true;
  });
  connection.destroy();
}
