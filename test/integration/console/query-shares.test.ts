// Goal: visitors of one tenant's portal cannot block queries of other tenants or of operators. Method: the console's
// ClickHouse accepts connections and never responds, so the number of open connections is the number of running
// queries.
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
import { createFixture } from './fixture.ts';
import type { Fixture } from './fixture.ts';
import { visit } from './browser.ts';

const open = new Set<Socket>();
const silent = createServer((socket) => {
  open.add(socket);
  socket.on('close', () => open.delete(socket));
  socket.on('error', () => undefined);
  socket.resume();
});
let fixture: Fixture;
beforeAll(async () => {
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const { port } = silent.address() as AddressInfo;
  fixture = await createFixture({ clickhouseUrl: `http://127.0.0.1:${port}` });
});
afterAll(async () => {
  for (const socket of open) socket.destroy();
  silent.close();
  await fixture.dispose();
});

const pages = ['/usage', '/history', '/refusals', '/limits', '/notifications'].map(
  (path) => `${path}?wait=1`,
);

/** The process reads the retention of events once for all tenants. */
const shared = 1;

test('C2 F6: a tenant has three running queries, and queries of other tenants and of operators still run', async () => {
  const [busy, other] = [await visit(fixture, uniqueName('busy')), await visit(fixture, uniqueName('other'))];
  const answers: Promise<unknown>[] = [];
  const read = (url: string, headers: Record<string, string>): void =>
    void answers.push(fixture.consoleApp.inject({ method: 'GET', url, headers }));
  for (const url of [...pages, ...pages, ...pages]) read(url, { cookie: busy });
  await eventually(() => open.size === shared + 3);
  read('/history?wait=1', { cookie: other });
  await eventually(() => open.size === shared + 5);
  answers.push(fixture.admin(`GET /admin/v1/tenants/${uniqueName('acme')}/status`));
  await eventually(() => open.size > shared + 5);
  const metrics = await fixture.adminApp.inject('/metrics');
  expect(metrics.body).toMatch(/tollgate_tenant_queries\{[^}]*state="running"[^}]*\} 5/);
  for (const socket of open) socket.destroy();
  silent.on('connection', (socket: Socket) => socket.destroy());
  await Promise.all(answers);
});
