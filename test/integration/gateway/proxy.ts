import type { ServerResponse } from 'node:http';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { startGateway, startUpstream } from './gateway.ts';
import type { TestGateway, TestUpstream } from './gateway.ts';

export const policy = {
  plans:
    '{ free: { limits: [{ name: minute, per: tenant, limit: 100, window: 1m }, { name: day, per: tenant, limit: 1000, window: 1d, type: quota }] } }',
  routes: `
  - { match: POST /agent/chat, limits: [{ name: chat, per: user, limit: 10, window: 1m }], price: 0.000075 }
  - { match: POST /heavy, cost: 60, price: 0.5 }
  - { match: GET /secret, limits: [{ name: shadowed, per: tenant, limit: 1, window: 1m, mode: shadow }] }`,
  platform:
    '{ limits: [{ name: platform, per: global, type: concurrent, limit: 3 }], shares: { tenant: 1, address: 1 } }',
  services: '[{ name: billing, token_env: TOLLGATE_SERVICE_TOKEN }]',
};

export interface TestProxy {
  readonly gateway: TestGateway;
  readonly upstream: TestUpstream;
  get(path: string, headers?: Record<string, string>, signal?: AbortSignal): Promise<Response>;
  /** Sends the rest of the responses to /drip, which stay open until then. */
  finishDrips(): void;
}

/** Starts a proxy for the tests of one file. Its upstream responds correctly, incorrectly, slowly or never, by path. */
export function useProxy(): TestProxy {
  let upstream: TestUpstream;
  let gateway: TestGateway;
  let dripping: ServerResponse[] = [];

  beforeAll(async () => {
    upstream = await startUpstream((request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://x');
      if (pathname === '/never') return;
      if (pathname === '/missing') {
        response.writeHead(404, { 'x-ratelimit-limit': '5', 'retry-after': '99' }).end('no such thing');
      } else if (pathname === '/broken') response.writeHead(500).end('oh');
      else if (pathname === '/echo') request.pipe(response);
      else if (pathname === '/drip') {
        response.write('first');
        dripping.push(response);
      } else if (pathname === '/not-modified') {
        response.socket?.write('HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 5\r\n\r\n');
      } else if (pathname === '/headers-only') {
        response.writeHead(200, { 'content-length': 5, 'content-encoding': 'gzip', 'set-cookie': 'a=1' });
        response.flushHeaders();
        setTimeout(() => response.destroy(), 50);
      } else if (pathname === '/cut') {
        response.write('first');
        setTimeout(() => response.destroy(), 50);
      } else {
        response.setHeader('set-cookie', ['a=1', 'b=2']);
        response.end(JSON.stringify({ url: request.url, headers: request.headers }));
      }
    });
    gateway = await startGateway({
      policy,
      upstream: upstream.url,
      bodyBytesMax: 10_000,
    });
  });

  afterAll(async () => {
    await gateway.close();
    await upstream.close();
  });

  const finishDrips = (): void => {
    for (const response of dripping) response.end('last');
    dripping = [];
  };

  afterEach(() => {
    finishDrips();
    gateway.events.length = 0;
    upstream.seen.length = 0;
  });

  return {
    get gateway() {
      return gateway;
    },
    get upstream() {
      return upstream;
    },
    get: (path, headers = {}, signal) =>
      fetch(gateway.proxyUrl + path, { headers, ...(signal === undefined ? {} : { signal }) }),
    finishDrips,
  };
}
