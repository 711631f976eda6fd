import { afterAll, beforeAll, beforeEach } from 'vitest';
import { createClickHouse } from '../../../shared/clickhouse/client.ts';
import { migrate } from '../../../shared/clickhouse/migrate.ts';
import { servers, uniqueName, uniqueNamespace } from '../../support/servers.ts';
import { serviceToken, startGateway } from './gateway.ts';
import type { TestGateway } from './gateway.ts';

export const policy = {
  plans: `
  free: { limits: [{ name: minute, per: tenant, limit: 100, window: 1m }, { name: day, per: tenant, limit: 1000, window: 1d, type: quota }] }
  pro: { limits: [{ name: minute, per: tenant, limit: 500, window: 1m }] }`,
  routes:
    '[{ match: POST /agent/chat, limits: [{ name: chat, per: user, limit: 3, window: 1m }], price: 0.5 }]',
  sessions: '{ widget: { per: tenant, limit: 2, ttl: 60s } }',
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};

export const service = { 'x-service-token': serviceToken };

export interface Answer {
  readonly status: number;
  readonly response: Response;
  readonly json: Record<string, unknown>;
}

export interface TestApi {
  readonly gateway: TestGateway;
  readonly database: string;
  readonly policy: Readonly<Record<string, string>>;
  /** A tenant that only this test uses. */
  readonly tenant: string;
  call(
    method: string,
    path: string,
    headers?: Record<string, string>,
    body?: unknown,
    type?: string,
  ): Promise<Answer>;
  check(headers: Record<string, string>, body: unknown): Promise<Answer>;
}

/** Starts an api listener with a separate database for the tests of one file. */
export function useApi(): TestApi {
  const { database } = uniqueNamespace();
  let gateway: TestGateway;
  let tenant: string;

  beforeAll(async () => {
    const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database });
    await migrate(clickhouse);
    await clickhouse.close();
    gateway = await startGateway({ policy, database });
  });

  afterAll(async () => {
    await gateway.close();
    const clickhouse = createClickHouse({ url: servers().clickhouseUrl, database: 'default' });
    await clickhouse.command(`DROP DATABASE IF EXISTS ${database}`);
    await clickhouse.close();
  });

  beforeEach(() => {
    tenant = uniqueName('acme');
    gateway.events.length = 0;
  });

  const call: TestApi['call'] = async (method, path, headers = {}, body, type = 'application/json') => {
    const response = await fetch(gateway.apiUrl + path, {
      method,
      headers: { ...headers, ...(body === undefined ? {} : { 'content-type': type }) },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return {
      status: response.status,
      response,
      json: (text === '' ? null : JSON.parse(text)) as Record<string, unknown>,
    };
  };
  return {
    database,
    policy,
    get gateway() {
      return gateway;
    },
    get tenant() {
      return tenant;
    },
    call,
    check: (headers, body) => call('POST', '/v1/check', headers, body),
  };
}
