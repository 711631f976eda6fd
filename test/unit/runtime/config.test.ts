import { pino } from 'pino';
import { Type } from 'typebox';
import { expect, test } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import { connectRedis, isCluster } from '../../../shared/redis/client.ts';
import { readConfig, secretVariable } from '../../../shared/runtime/config.ts';

const schema = Type.Object({
  PORT: Type.Integer({ minimum: 0, maximum: 65_535, default: 8080 }),
  TOLLGATE_DURABILITY: Type.String({ enum: ['process', 'power'], default: 'process' }),
  KAFKA_SSL: Type.Boolean({ default: false }),
  TOKEN: Type.String({ minLength: 4 }),
});

test('defaults stand for what is absent or empty, and texts become numbers and truths', () => {
  expect(readConfig(schema, { TOKEN: 'long', PORT: '', KAFKA_SSL: 'true', OTHER: 'x' })).toEqual({
    PORT: 8080,
    TOLLGATE_DURABILITY: 'process',
    KAFKA_SSL: true,
    TOKEN: 'long',
  });
});

test('every mistake is named at once, with what is allowed, and no value is repeated', () => {
  const read = (): unknown =>
    readConfig(schema, { PORT: 'eighty', TOLLGATE_DURABILITY: 'disk', KAFKA_SSL: 'x', TOKEN: 'sec' });
  expect(read).toThrow('PORT must be integer');
  expect(read).toThrow('TOLLGATE_DURABILITY must be equal to one of the allowed values: process, power');
  expect(read).toThrow('KAFKA_SSL must be boolean');
  expect(read).toThrow('TOKEN must NOT have fewer than 4 characters');
  expect(read).not.toThrow(/disk|eighty/);
  expect(() => readConfig(schema, {})).toThrow("must have required property 'TOKEN'");
});

test('a number beyond the largest double is beyond its bound', () => {
  expect(() => readConfig(schema, { TOKEN: 'long', PORT: '1e309' })).toThrow('PORT must be <= 65535');
});

test('a secret has 32 bytes or more, however many characters those are', () => {
  const secrets = Type.Object({ SECRET: secretVariable('A secret.') });
  const read = (SECRET: string): unknown => readConfig(secrets, { SECRET });
  expect(() => read('x'.repeat(31))).toThrow('SECRET must have 32 bytes or more; use random ones');
  expect(() => read('')).toThrow("must have required property 'SECRET'");
  expect(read('x'.repeat(32))).toEqual({ SECRET: 'x'.repeat(32) });
  expect(read('ü'.repeat(16))).toEqual({ SECRET: 'ü'.repeat(16) });
});

test('rediss:// is TLS with its name and password, for one server and for a cluster', () => {
  const logger = pino({ level: 'silent' });
  const one = connectRedis('rediss://ada:p%40ss@127.0.0.1:1', logger);
  const several = connectRedis('rediss://ada:p%40ss@127.0.0.1:1,rediss://127.0.0.1:2', logger);
  one.disconnect();
  several.disconnect();
  if (isCluster(one) || !isCluster(several)) throw new Error('taken for one another');
  expect(one.options).toMatchObject({ username: 'ada', password: 'p@ss' });
  expect(one.options.tls).toBeTruthy();
  expect(several.options.redisOptions).toMatchObject({ username: 'ada', password: 'p@ss', tls: {} });
});

test('ClickHouse is spoken to over https where its address says so; an address that is none is refused', async () => {
  const over = (url: string) => createClickHouse({ url, database: 'tollgate', password: 'secret' });
  const clickhouse = over('https://127.0.0.1:1');
  await expect(clickhouse.query('SELECT 1')).rejects.toMatchObject({ code: 'CLICKHOUSE_UNAVAILABLE' });
  await clickhouse.close();
  expect(() => over('nonsense')).toThrow(/url/i);
  expect(() => over('ftp://127.0.0.1')).toThrow(/http/);
});
