// Goal: the official CloudEvents SDKs and common Kafka producers can publish usage events in each mode that they
// support.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { CloudEvent, HTTP, Kafka } from 'cloudevents';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needProgram } from '../../../dev/packages.ts';
import { pythonBin } from '../../../dev/python-packages.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { servers, uniqueName } from '../../support/servers.ts';
import { untilStored } from './stored.ts';

const exec = promisify(execFile);
const say = (line: string) => void process.stderr.write(`${line}\n`);

let run: PolicyRun;
let topic: string;
beforeAll(async () => {
  run = await runPolicy('default', { services: ['gateway', 'aggregator'] });
  topic = `${run.installation.env['TOLLGATE_TOPIC_PREFIX'] ?? ''}usage.v1`;
});
afterAll(() => run.stop());

interface PublishResponse {
  readonly accepted: number;
  readonly results: readonly {
    readonly id: string | null;
    readonly status: string;
    readonly reason?: string;
  }[];
}

async function post(headers: Record<string, string>, body: unknown): Promise<[number, PublishResponse]> {
  const response = await fetch(`${run.installation.urls.api}/v1/events`, {
    method: 'POST',
    headers: { ...headers, authorization: `Bearer ${run.serviceToken}` },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : Buffer.from(body as Buffer) }),
  });
  return [response.status, (await response.json()) as PublishResponse];
}

/** Removes undefined headers: the SDK returns one for each attribute that the event does not have. */
function headersOf({ headers }: { readonly headers: object }): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
}

describe('the npm package cloudevents', () => {
  const eventOf = (tenant: string, id: string, more: object = {}) =>
    new CloudEvent({ id, source: '/npm', type: 'tokens.used', subject: tenant, data: { units: 1 }, ...more });

  test('binary and structured messages, extensions and compressed bodies', async () => {
    const tenant = uniqueName('npm');
    const extended = { traceparent: '00-ab', datacontenttype: 'application/vnd.acme+json' };
    const binary = HTTP.binary(eventOf(tenant, 'npm binary', extended));
    const structured = HTTP.structured(eventOf(tenant, 'npm structured', extended));
    const zipped = HTTP.structured(eventOf(tenant, 'npm gzip'));
    const packed = HTTP.binary(eventOf(tenant, 'npm zstd'));
    const bare = HTTP.binary(
      eventOf(tenant, 'npm without data', { data: undefined, datacontenttype: undefined }),
    );
    for (const [headers, body] of [
      [headersOf(binary), binary.body],
      [headersOf(structured), structured.body],
      [{ ...headersOf(zipped), 'content-encoding': 'gzip' }, gzipSync(zipped.body as string)],
      [{ ...headersOf(packed), 'content-encoding': 'zstd' }, zstdCompressSync(packed.body as string)],
    ] as const) {
      expect(await post(headers, body)).toMatchObject([202, { accepted: 1 }]);
    }
    await untilStored(run, tenant, ['npm binary', 'npm structured', 'npm gzip', 'npm zstd']);
    const rows = await run.clickhouse.query(
      `SELECT DISTINCT properties['ce_traceparent'] AS trace FROM usage_events
      WHERE tenant_id = {tenant:String} AND event_id IN ('npm binary', 'npm structured')`,
      { tenant },
    );
    expect(rows).toEqual([{ trace: '00-ab' }]);
    expect(await post(headersOf(bare), undefined)).toMatchObject([202, { accepted: 1 }]);
  });

  test('messages of its Kafka binding, in both modes and under another key', async () => {
    const tenant = uniqueName('npm');
    const kafka = createKafka({
      brokers: servers().kafkaBrokers,
      clientId: 'npm',
      logger: pino({ level: 'silent' }),
    });
    const producer = createProducer(kafka, { registry: createRegistry('test') });
    const binary = Kafka.binary(eventOf(tenant, 'npm kafka binary', { partitionkey: 'a key' }));
    const structured = Kafka.structured(eventOf(tenant, 'npm kafka structured'));
    await producer.send(topic, [
      {
        key: binary.key,
        value: JSON.stringify(binary.value),
        headers: headersOf(binary),
      },
      { key: null, value: structured.value, headers: headersOf(structured) },
    ]);
    await producer.close();
    await untilStored(run, tenant, ['npm kafka binary', 'npm kafka structured']);
  });
});

test('the Python package cloudevents over HTTP, and over Kafka with confluent-kafka', async () => {
  const tenant = uniqueName('python');
  const python = join(await pythonBin('clients', say), 'python');
  const script = join(import.meta.dirname, 'publish_cloudevents.py');
  const args = [run.installation.urls.api, run.serviceToken, tenant, servers().kafkaBrokers, topic];
  const { stdout } = await exec(python, [script, ...args]);
  const { responses, errors } = JSON.parse(stdout) as {
    responses: Record<string, [number, PublishResponse]>;
    errors: string[];
  };
  expect(errors).toEqual([]);
  const { batch, ...single } = responses;
  for (const [mode, response] of Object.entries(single)) {
    expect(response, mode).toMatchObject([202, { accepted: 1 }]);
  }
  expect(batch).toMatchObject([202, { accepted: 3, rejected: 1 }]);
  expect(batch?.[1].results[1]).toMatchObject({ status: 'rejected', reason: 'the event is not JSON' });
  await untilStored(run, tenant, [
    'http binary größer "7" 100%',
    'http structured größer',
    'http base64',
    'older binary',
    'older structured',
    'batch 0',
    'batch 1',
    'batch 2',
    'kafka binary größer',
    'kafka structured',
  ]);
});

test('kcat, with headers or without', async () => {
  const tenant = uniqueName('kcat');
  const kcat = await needProgram('kcat', say);
  const event = { specversion: '1.0', source: '/kcat', type: 'tokens.used', subject: tenant };
  const binary = Object.entries({ ...event, id: 'kcat binary' }).flatMap(([name, value]) => [
    '-H',
    `ce_${name}=${value}`,
  ]);
  const structured = JSON.stringify({
    ...event,
    id: 'kcat structured',
    time: new Date().toISOString(),
    data: { units: 1 },
  });
  await produce(['-k', 'any', ...binary, '-H', 'content-type=application/json'], '{"units":1}');
  await produce(['-k', tenant, '-H', 'content-type=application/cloudevents+json'], structured);
  await produce(['-k', 'another', '-z', 'gzip'], structured);
  await untilStored(run, tenant, ['kcat binary', 'kcat structured']);

  async function produce(args: readonly string[], value: string): Promise<void> {
    const running = exec(kcat, ['-P', '-b', servers().kafkaBrokers, '-t', topic, ...args]);
    running.child.stdin?.end(value);
    await running;
  }
});
