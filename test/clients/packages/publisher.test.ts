// Goal: each event that an application publishes is stored and counted once, whatever happens to the API meanwhile.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UsagePublisher } from '../../../packages/client/publisher.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { faultyTimeoutMs, startFaultyApi } from './faulty-api.ts';
import type { Fault } from './faulty-api.ts';
import { codeBlocks, installPackages, otherNode, patient } from './installed-packages.ts';
import type { InstalledPackages } from './installed-packages.ts';

const long = process.env['TOLLGATE_FAULTS'] === 'long';
const events = long ? 1_000_000 : 20_000;
const timeoutMs = long ? 1_800_000 : 240_000;

let run: PolicyRun;
let installed: InstalledPackages;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'tollgate-publisher-'));
  run = await runPolicy('default', { services: ['gateway', 'aggregator'] });
  installed = await installPackages(['client'], ['bun@1', 'deno@2']);
});
afterAll(async () => {
  await Promise.all([run.stop(), installed.remove(), rm(directory, { recursive: true, force: true })]);
});

/** Waits until the tenant has exactly this number of different events, each with one unit in the totals. */
async function untilCounted(tenant: string, count: number): Promise<void> {
  const stored = `SELECT uniqExact(event_id) AS ids FROM usage_events WHERE tenant_id = {tenant:String}`;
  const totals =
    'SELECT sum(u.requests) AS events, sum(u.units) AS units FROM usage_by_day AS u WHERE tenant_id = {tenant:String}';
  await eventually(
    async () => {
      const found = await Promise.all([
        run.clickhouse.query(stored, { tenant }),
        run.clickhouse.query(totals, { tenant }),
      ]);
      expect(found).toEqual([[{ ids: count }], [{ events: count, units: count }]]);
      return true;
    },
    { timeoutMs: 120_000, intervalMs: 250 },
  );
}

test(
  `F5: ${events} events published while the API is killed, slow and full at random are stored once each`,
  { timeout: timeoutMs },
  async () => {
    const seed = Number(process.env['SEED'] ?? 20_261_126);
    console.log(`seed ${seed}`);
    const random = fc.sample(fc.integer({ min: 0, max: 99 }), { numRuns: 10_000, seed });
    let calls = 0;
    const chooseFault = (): Fault => faultOf(random[calls++ % random.length] ?? 0);
    const api = await startFaultyApi(run.installation.urls.api, chooseFault);
    const tenant = uniqueName('publisher');
    const problems: string[] = [];
    const publisher = new UsagePublisher({
      url: api.url,
      token: run.serviceToken,
      source: 'test',
      directory: join(directory, tenant),
      // So small that most events wait on disk.
      memoryBytesMax: 1024 * 1024,
      batchEventsMax: long ? 1_000 : 200,
      timeoutMs: faultyTimeoutMs,
      onRejected: (text, reason) => void problems.push(`${reason}: ${text}`),
      onLost: (count, reason) => void problems.push(`${count} lost: ${reason}`),
    });
    const gateway = run.installation.service('gateway');
    for (let count = 0; count < events; count += 1) {
      publisher.publish({ type: 'tokens.used', subject: tenant, data: { units: 1, plan: 'free' } });
      // Lets the publisher send between the events, as an application does.
      if (count % 100 === 0) await new Promise((resolve) => void setImmediate(resolve));
      if (count === Math.floor(events / 3) || count === Math.floor((2 * events) / 3)) {
        await gateway.kill();
        await gateway.restart();
      }
    }
    expect(await publisher.close(timeoutMs), JSON.stringify(publisher.stats())).toBe(true);
    api.close();
    expect(problems).toEqual([]);
    expect(publisher.stats()).toMatchObject({ queued: 0, diskBytes: 0, rejected: 0, lost: 0 });
    expect(await readdir(join(directory, tenant))).toEqual([]);
    for (const fault of faults) expect([fault, api.counts[fault] > 0]).toEqual([fault, true]);
    await untilCounted(tenant, events);
  },
);

const faults = ['full', 'limited', 'reset', 'late answer', 'lost answer'] as const;

function faultOf(percent: number): Fault {
  return percent < 60 ? 'none' : (faults[percent % faults.length] ?? 'none');
}

test('events that a process did not send are sent by the next one', async () => {
  const tenant = uniqueName('exit');
  const folder = join(directory, tenant);
  const script = (url: string, end: string): string => `
    import { UsagePublisher } from '@tollgate/client/publisher';
    const publisher = new UsagePublisher({ url: '${url}', token: '${run.serviceToken}', source: 'test', directory: '${folder}' });
    for (let count = 0; count < 500; count += 1) {
      publisher.publish({ type: 'tokens.used', subject: '${tenant}', data: { units: 1 } });
    }
    ${end}`;
  const nowhere = 'http://127.0.0.1:1';
  await writeFile(join(installed.dir, 'exit.js'), script(nowhere, 'process.exit(7);'));
  const exiting = installed.start(process.execPath, ['exit.js']);
  expect(await exiting.exited, exiting.output()).toBe(7);
  await writeFile(join(installed.dir, 'close.js'), script(nowhere, 'await publisher.close(100);'));
  const closing = installed.start(process.execPath, ['close.js']);
  expect(await closing.exited, closing.output()).toBe(0);
  // The last process does not call `close`: it ends by itself when its events are stored.
  await writeFile(join(installed.dir, 'end.js'), script(run.installation.urls.api, ''));
  const ending = installed.start(process.execPath, ['end.js']);
  expect(await ending.exited, ending.output()).toBe(0);
  expect([exiting.output(), closing.output(), ending.output()]).toEqual(['', '', '']);
  await untilCounted(tenant, 1_500);
});

test('rejected and lost events are reported, and do not affect the others', async () => {
  const tenant = uniqueName('rejected');
  const reports: string[] = [];
  const options = {
    url: run.installation.urls.api,
    token: run.serviceToken,
    source: 'test',
    onRejected: (_text: string, reason: string) => void reports.push(reason),
    onLost: (count: number, reason: string) => void reports.push(`${count} lost: ${reason}`),
  };
  const publisher = new UsagePublisher(options);
  const event = { type: 'tokens.used', subject: tenant };
  publisher.publish({ ...event, data: { units: 1 } });
  publisher.publish({ ...event, data: { units: -1 } });
  publisher.publish({ ...event, data: { units: 1, text: 'x'.repeat(200_000) } });
  publisher.publish({ ...event, data: { units: 1 } });
  expect(() => publisher.publish({ ...event, data: { units: 1n } })).toThrow(TypeError);
  expect(await publisher.close()).toBe(true);
  expect(() => publisher.publish(event)).toThrow('closed');
  expect(reports).toEqual([
    'the event is larger than 131072 bytes',
    expect.stringContaining('data.units must be a number') as unknown,
  ]);
  await untilCounted(tenant, 2);
  const away = new UsagePublisher({ ...options, url: 'http://127.0.0.1:1', memoryBytesMax: 1_000 });
  for (let count = 0; count < 10; count += 1) away.publish({ ...event, data: { units: 1 } });
  expect(await away.close(50)).toBe(false);
  const { lost, queued } = away.stats();
  expect([lost, queued]).toEqual([10, 0]);
  expect(reports).toContainEqual(expect.stringMatching(/^\d+ lost: exit$/));
  expect(reports).toContain('1 lost: full');
});

test('F5: the code of the README checks, publishes and reads usage, in Node, Bun and Deno', async () => {
  const [code = ''] = await codeBlocks('packages/client/README.md', 'js');
  const bin = (name: string): string => join(installed.dir, 'node_modules/.bin', name);
  const runtimes: [string, string, string[]][] = [
    ['node', process.execPath, []],
    ['bun', bin('bun'), ['run']],
    ['deno', bin('deno'), ['run', '--allow-all', '--node-modules-dir=manual']],
  ];
  const older = await otherNode();
  if (older !== null) runtimes.push(['older node', older, []]);
  for (const [name, command, args] of runtimes) {
    const tenant = uniqueName(name.replace(' ', '-'));
    const text = patient(code)
      .replace('http://127.0.0.1:8081', run.installation.urls.api)
      .replaceAll("'acme'", `'${tenant}'`)
      .replace("'events'", `'events-${tenant}'`)
      .replace('units: 120', 'units: 1');
    await writeFile(join(installed.dir, `${tenant}.mjs`), text);
    const program = installed.start(command, [...args, `${tenant}.mjs`], {
      TOLLGATE_SERVICE_TOKEN: run.serviceToken,
    });
    expect([name, await program.exited], program.output()).toEqual([name, 0]);
    expect(program.output()).toMatch(/^serve the request\n\d+ requests are left in the window minute\n$/);
    // The check and the event have one unit each.
    await untilCounted(tenant, 2);
  }
});
