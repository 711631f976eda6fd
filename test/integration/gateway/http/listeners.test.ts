import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runPolicy } from '../../../support/policy-run.ts';
import type { PolicyRun } from '../../../support/policy-run.ts';
import { eventually, uniqueName } from '../../../support/servers.ts';
import { as, startGateway, startUpstream } from '../gateway.ts';
import { serviceNames } from '../../../../dev/stack/services.ts';
import type { ServiceName } from '../../../../dev/stack/services.ts';

describe('HOST=:: on every service', () => {
  let run: PolicyRun;

  beforeAll(async () => {
    run = await runPolicy('default', { services: serviceNames, env: { HOST: '::' } });
  });

  afterAll(() => run.stop());

  test('every listener accepts IPv4 and IPv6, gRPC included', async () => {
    const { gateway, api, rls, admin, console: portal } = run.installation.urls;
    const listeners = [gateway, api, `http://${rls}`, admin, portal].concat(
      serviceNames.map((name) => run.installation.service(name).opsUrl),
    );
    for (const listener of listeners) {
      for (const host of ['127.0.0.1', '::1']) {
        const socket = connect(Number(new URL(listener).port), host);
        await once(socket, 'connect');
        socket.destroy();
      }
    }
  });

  test('the printed URLs and the portal links have an address that a client can connect to', async () => {
    const printed = async (service: ServiceName): Promise<Readonly<Record<string, string>>> => {
      const log = (): string[] => run.installation.service(service).log().split('\n');
      const line = await eventually(() => log().find((each) => each.includes(`${service} ready`)));
      return JSON.parse(line) as Record<string, string>;
    };
    expect((await fetch(`${(await printed('admin'))['admin']}/healthz`)).status).toBe(200);
    expect((await fetch((await printed('console'))['console']!)).status).toBe(200);
    const { body } = await run.admin('POST /admin/v1/portal-links', { tenant_id: uniqueName('acme') });
    expect((await fetch(String(body['url']), { redirect: 'manual' })).status).toBe(303);
  });
});

describe('a listener on IPv4 and IPv6', () => {
  test('identifies an IPv4 client by its IPv4 address, and does not forward its X-Forwarded-For', async () => {
    const upstream = await startUpstream((request, response) =>
      response.end(JSON.stringify(request.headers)),
    );
    const gateway = await startGateway({
      policy: { identity: '{ jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET } }' },
      upstream: upstream.url,
      host: '::',
    });
    const { port } = new URL(gateway.proxyUrl);
    const headers = { ...(await as(uniqueName('acme'))), 'x-forwarded-for': '203.0.113.9' };
    for (const [host, address] of [
      ['127.0.0.1', '127.0.0.1'],
      ['[::1]', '::1'],
    ]) {
      const response = await fetch(`http://${host}:${port}/x`, { headers });
      expect(await response.json()).toMatchObject({ 'x-forwarded-for': address });
      expect(gateway.requests().at(-1)?.data.client_ip).toBe(address);
    }
    await gateway.close();
    await upstream.close();
  });
});
