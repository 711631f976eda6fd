// Goal: services can connect to a broker that requires TLS, a user name and a password, and cannot connect if one of
// the three is missing. Method: a real broker with SASL behind a TLS socket of the test, whose address the broker
// advertises.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer } from 'node:tls';
import type { Server } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../../dev/servers/free-port.ts';
import { createKafka } from '../../../shared/kafka/kafkajs/kafka.ts';
import type { KafkaSecurity } from '../../../shared/kafka/environment.ts';
import { createProducer } from '../../../shared/kafka/producer/producer.ts';
import { readTopicEnds } from '../../../shared/kafka/offsets/topic-offsets.ts';
import { ensureTopics } from '../../../shared/kafka/ensure-topics.ts';
import { topicsWith } from '../../../shared/kafka/topics.ts';
import { createLogger } from '../../../shared/runtime/logger.ts';
import { createRegistry } from '../../../shared/runtime/http/ops.ts';
import { startKafka, uniqueNamespace } from '../../support/servers.ts';

const folder = mkdtempSync(join(tmpdir(), 'tollgate-tls-'));
const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')];
const jaas = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ada="secret";';
let broker: Awaited<ReturnType<typeof startKafka>>;
let front: Server;
let frontPort: number;
let ca: string;

beforeAll(async () => {
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', keyFile, '-out', certFile, ...subject],
    { stdio: 'ignore' },
  );
  ca = readFileSync(certFile, 'utf8');
  frontPort = await freePort();
  broker = await startKafka({
    properties: {
      'listener.security.protocol.map': 'PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT',
      'sasl.enabled.mechanisms': 'PLAIN',
      'sasl.mechanism.inter.broker.protocol': 'PLAIN',
      'listener.name.plaintext.plain.sasl.jaas.config': jaas,
      'advertised.listeners': `PLAINTEXT://localhost:${frontPort}`,
    },
  });
  front = createServer({ key: readFileSync(keyFile), cert: ca }, (socket) => {
    const behind = connect(broker.port, '127.0.0.1');
    socket.pipe(behind).pipe(socket);
    for (const [one, other] of [
      [socket, behind],
      [behind, socket],
    ] as const)
      one.on('error', () => other.destroy()).on('close', () => other.destroy());
  });
  // A client that does not trust the certificate closes the connection and reports the error itself.
  front.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => void front.listen(frontPort, '127.0.0.1', resolve));
});

afterAll(async () => {
  front.close();
  await broker.dispose();
  rmSync(folder, { recursive: true });
});

function kafkaWith(security: KafkaSecurity) {
  return createKafka({
    brokers: `localhost:${frontPort}`,
    clientId: 'test',
    logger: createLogger('test', 'silent'),
    requestTimeoutMs: 3_000,
    security,
  });
}

const sasl = { mechanism: 'plain', username: 'ada', password: 'secret' } as const;

test('with TLS, user name and password topics are created, and records are sent and read', async () => {
  const kafka = kafkaWith({ tls: { ca }, sasl });
  const topics = topicsWith(uniqueNamespace().topicPrefix);
  await ensureTopics(kafka, topics, { partitions: 1 });
  const producer = createProducer(kafka, { registry: createRegistry('test') });
  await producer.send(topics.usage, [{ key: 'acme', value: 'x' }]);
  await producer.close();
  expect(await readTopicEnds(kafka, topics.usage)).toEqual([{ partition: 0, low: 0, high: 1 }]);
});

test.each<[string, () => KafkaSecurity]>([
  ['a wrong password', () => ({ tls: { ca }, sasl: { ...sasl, password: 'wrong' } })],
  ['no user name', () => ({ tls: { ca }, sasl: null })],
  ['a certificate of an unknown authority', () => ({ tls: {}, sasl })],
  ['no TLS', () => ({ tls: null, sasl })],
])('a connection with %s is rejected in bounded time', async (_, security) => {
  await expect(readTopicEnds(kafkaWith(security()), 'any')).rejects.toThrow();
});
