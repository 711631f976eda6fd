import { chromium } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { needProgram } from '../../dev/packages.ts';
import { as, startGateway, startUpstream } from '../integration/gateway/gateway.ts';
import type { TestGateway, TestUpstream } from '../integration/gateway/gateway.ts';
import { uniqueName } from '../support/servers.ts';

let site: TestUpstream;
let upstream: TestUpstream;
let gateway: TestGateway;

beforeAll(async () => {
  site = await startUpstream((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>A page</title>');
  });
  upstream = await startUpstream((_request, response) => response.end('done'));
  gateway = await startGateway({
    policy: {
      plans: '{ free: { limits: [{ name: minute, per: tenant, limit: 1, window: 1m }] } }',
      cors: `{ origins: [${site.url}] }`,
      identity: '{ jwt: { algorithms: [HS256], secret_env: TOLLGATE_JWT_SECRET }, anonymous: reject }',
    },
    upstream: upstream.url,
  });
});

afterAll(async () => {
  await gateway.close();
  await Promise.all([site.close(), upstream.close()]);
});

test('F3: the script of a page in a browser reads status, body and limit headers of a refusal', async () => {
  const { authorization = '' } = await as(uniqueName('acme'));
  await (await fetch(`${gateway.proxyUrl}/x`, { headers: { authorization } })).text();
  const browser = await chromium.launch({
    executablePath: await needProgram('chromium', () => undefined),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
    ],
  });
  try {
    const page = await browser.newPage();
    await page.goto(site.url);
    const seen: unknown = await page.evaluate(
      async ([url, token]) => {
        const response = await fetch(url ?? '', { method: 'PUT', headers: { authorization: token ?? '' } });
        const { headers, status } = response;
        const { detail } = (await response.json()) as { detail: string };
        return { status, detail, limit: headers.get('x-ratelimit-limit'), wait: headers.get('retry-after') };
      },
      [`${gateway.proxyUrl}/x`, authorization],
    );
    expect(seen).toEqual({
      status: 429,
      detail: expect.stringMatching(/^1 request per 1 minute allowed for this tenant/) as unknown,
      limit: '1',
      wait: expect.stringMatching(/^\d+$/) as unknown,
    });
    expect(gateway.requests().map(({ data }) => [data.method, data.status])).toEqual([
      ['GET', 200],
      ['OPTIONS', 204],
      ['PUT', 429],
    ]);
  } finally {
    await browser.close();
  }
});
