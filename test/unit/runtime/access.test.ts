import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { describe, expect, test } from 'vitest';
import { declareAccess, guardRoutes } from '../../../shared/runtime/http/access.ts';
import type { Guard } from '../../../shared/runtime/http/access.ts';

const refuse: Guard = (_request, reply) => reply.code(401).send('no');

function listener(openRoutes: readonly string[] = []): FastifyInstance {
  const app = fastify();
  guardRoutes(app, {
    listener: 'test',
    openRoutes,
    guards: { 'operator-token:admin': refuse },
    unmatched: refuse,
  });
  return app;
}

describe('a server does not start', () => {
  test('with a route that declares no access', async () => {
    const app = listener();
    app.get('/new', () => 'secret');
    await expect(app.ready()).rejects.toThrow('test: GET /new declares no access');
  });

  test('with an open route that the listener does not list', async () => {
    const app = listener(['GET /listed']);
    app.get('/listed', { config: { access: 'public' } }, () => 'ok');
    app.post('/listed', { config: { access: 'public' } }, () => 'ok');
    await expect(app.ready()).rejects.toThrow('test: POST /listed is open and is not among the open routes');
  });

  test('with a route whose credential the listener does not check', async () => {
    const app = listener();
    app.get('/page', { config: { access: 'portal-session' } }, () => 'secret');
    await expect(app.ready()).rejects.toThrow('“portal-session”, which has no guard');
  });

  test('with such a route in a plugin’s scope', async () => {
    const app = listener();
    void app.register((scope, _options, done) => {
      scope.get('/nested', () => 'secret');
      done();
    });
    await expect(app.ready()).rejects.toThrow('GET /nested');
  });
});

test('a scope declares the access of its routes, and a route may declare another', async () => {
  const app = listener(['GET /open']);
  void app.register((scope, _options, done) => {
    declareAccess(scope, 'operator-token:admin');
    scope.get('/closed', () => 'secret');
    scope.get('/open', { config: { access: 'public' } }, () => 'ok');
    done();
  });
  await app.ready();
  expect(app.routeAccess.filter(({ method }) => method === 'GET')).toEqual([
    { method: 'GET', url: '/closed', access: 'operator-token:admin' },
    { method: 'GET', url: '/open', access: 'public' },
  ]);
  for (const [url, status] of [
    ['/closed', 401],
    ['/%63losed', 401],
    ['/open', 200],
    ['/nowhere', 401],
  ] as const)
    expect((await app.inject(url)).statusCode).toBe(status);
});

test('a scope that declares the access of reads leaves changes without one, so the server does not start', async () => {
  const app = listener();
  void app.register((scope, _options, done) => {
    declareAccess(scope, 'operator-token:admin', 'reads');
    scope.get('/page', () => 'page');
    scope.post('/page', () => 'changed');
    done();
  });
  await expect(app.ready()).rejects.toThrow(/^test: POST \/page declares no access[^\n]*$/);
});
