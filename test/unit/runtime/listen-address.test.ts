import { fastify } from 'fastify';
import { describe, expect, test } from 'vitest';
import { authorityOf, listenOn, localUrl } from '../../../shared/runtime/http/listen-address.ts';

describe('an address as URLs and gRPC write it', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1:80'],
    ['::', '[::]:80'],
    ['::1', '[::1]:80'],
    ['[::1]', '[::1]:80'],
    ['api.example.com', 'api.example.com:80'],
  ])('%s', (host, authority) => {
    expect(authorityOf(host, 80)).toBe(authority);
  });

  test('a wildcard address is no destination', () => {
    expect([localUrl('::', 1), localUrl('0.0.0.0', 1)]).toEqual(['http://localhost:1', 'http://localhost:1']);
  });
});

describe('the URL of a listener reaches it', () => {
  test.each(['127.0.0.1', '0.0.0.0', '::', '::1', '[::1]'])('bound to %s', async (host) => {
    const app = fastify();
    app.get('/', () => 'here');
    const url = await listenOn(app, host, 0);
    expect(await (await fetch(url)).text()).toBe('here');
    await app.close();
  });

  test('bound to ::, clients of both families reach it', async () => {
    const app = fastify();
    app.get('/', () => 'here');
    const { port } = new URL(await listenOn(app, '::', 0));
    for (const address of ['127.0.0.1', '[::1]']) {
      expect((await fetch(`http://${address}:${port}`)).status).toBe(200);
    }
    await app.close();
  });
});
