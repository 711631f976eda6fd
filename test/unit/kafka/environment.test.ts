import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Type } from 'typebox';
import { afterAll, expect, test } from 'vitest';
import { kafkaCluster, kafkaVariables } from '../../../shared/kafka/environment.ts';
import type { KafkaSecurity } from '../../../shared/kafka/environment.ts';
import { readConfig } from '../../../shared/runtime/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'tollgate-pem-'));
const pem = join(folder, 'some.pem');
writeFileSync(pem, 'pem');
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function read(env: Record<string, string>): KafkaSecurity {
  return kafkaCluster(readConfig(Type.Object(kafkaVariables), env)).security;
}

test('without any variable connections to Kafka are not encrypted', () => {
  expect(read({})).toEqual({ tls: null, sasl: null });
});

test('TLS uses the authorities that Node trusts, or the PEM files that are named', () => {
  expect(read({ KAFKA_SSL: 'true' })).toEqual({ tls: {}, sasl: null });
  expect(read({ KAFKA_SSL: 'true', KAFKA_SSL_CA: pem, KAFKA_SSL_CERT: pem, KAFKA_SSL_KEY: pem }).tls).toEqual(
    { ca: 'pem', cert: 'pem', key: 'pem' },
  );
});

test.each(['plain', 'scram-sha-256', 'scram-sha-512'])('SASL by %s', (mechanism) => {
  const credentials = { KAFKA_SASL_USERNAME: 'ada', KAFKA_SASL_PASSWORD: 'secret' };
  expect(read({ KAFKA_SASL_MECHANISM: mechanism, ...credentials }).sasl).toEqual({
    mechanism,
    username: 'ada',
    password: 'secret',
  });
});

const violations: readonly [Record<string, string>, string][] = [
  [{ KAFKA_SSL: 'perhaps' }, 'KAFKA_SSL must be boolean'],
  [
    { KAFKA_SASL_MECHANISM: 'md5' },
    'KAFKA_SASL_MECHANISM must be equal to one of the allowed values: plain, scram-sha-256, scram-sha-512',
  ],
  [
    { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'ada' },
    'KAFKA_SASL_MECHANISM needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD',
  ],
  [
    { KAFKA_SASL_PASSWORD: 'secret' },
    'KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD need KAFKA_SASL_MECHANISM',
  ],
  [{ KAFKA_SSL_CA: pem }, 'need KAFKA_SSL=true'],
  [{ KAFKA_SSL: 'true', KAFKA_SSL_KEY: pem }, 'KAFKA_SSL_CERT and KAFKA_SSL_KEY need each other'],
  [{ KAFKA_SSL: 'true', KAFKA_SSL_CA: join(folder, 'none.pem') }, 'KAFKA_SSL_CA cannot be read: ENOENT'],
];
test.each(violations)('%j is refused with a message that names the variable', (env, text) => {
  expect(() => read(env)).toThrow(text);
});

test('an error message holds no password', () => {
  expect(() => read({ KAFKA_SASL_PASSWORD: 'a-secret-password' })).not.toThrow('a-secret-password');
});
