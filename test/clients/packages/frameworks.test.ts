// Goal: a developer who has only the README of a package can use it.
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { freePort } from '../../../dev/servers/free-port.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { eventually, servers } from '../../support/servers.ts';
import { codeBlocks, installPackages, run } from './installed-packages.ts';
import type { InstalledPackages, StartedProgram } from './installed-packages.ts';

let policyRun: PolicyRun;
let installed: InstalledPackages;

beforeAll(async () => {
  [policyRun, installed] = await Promise.all([
    runPolicy('default', { services: ['aggregator'] }),
    installPackages(
      ['fastify', 'express'],
      ['fastify', 'express', '@types/express', '@types/node@24', 'typescript@6'],
    ),
  ]);
});
afterAll(async () => {
  await Promise.all([policyRun.stop(), installed.remove()]);
});

/** The code of a README, with the addresses and prefixes of this run. */
async function readmeCode(name: string, redis = servers().redisUrl): Promise<string> {
  const [code = ''] = await codeBlocks(`packages/${name}/README.md`, 'js');
  const { TOLLGATE_KEY_PREFIX: keyPrefix, TOLLGATE_TOPIC_PREFIX: topicPrefix } = policyRun.installation.env;
  return code
    .replace(
      "'policy.yaml'",
      `'${name}.yaml', keyPrefix: '${keyPrefix}-${name}', topicPrefix: '${topicPrefix}'`,
    )
    .replace('redis://127.0.0.1:6379', redis)
    .replace('127.0.0.1:9092', servers().kafkaBrokers)
    .replace("'spool'", `'spool-${name}'`);
}

async function startServer(name: string, code: string): Promise<StartedProgram & { url: string }> {
  const [policy = ''] = await codeBlocks(`packages/${name}/README.md`, 'yaml');
  await writeFile(join(installed.dir, `${name}.yaml`), policy);
  await writeFile(join(installed.dir, `${name}.js`), code);
  const port = await freePort();
  const program = installed.start(process.execPath, [`${name}.js`], { PORT: String(port) });
  const url = `http://127.0.0.1:${port}`;
  await eventually(async () => {
    if (program.child.exitCode !== null) throw new Error(program.output());
    return (await fetch(`${url}/health`)).ok;
  });
  return { ...program, url };
}

describe.each(['fastify', 'express'])('@tollgate/%s', (name) => {
  test('F5: the code of the README limits, names the cost, exempts and records, and closes gracefully', async () => {
    const server = await startServer(name, await readmeCode(name));
    const first = await fetch(`${server.url}/hello`);
    expect(first.status).toBe(200);
    expect(await first.json()).toEqual({ plan: 'free' });
    expect(first.headers.get('x-ratelimit-remaining')).toBe('9');
    const report = await fetch(`${server.url}/reports`, { method: 'POST' });
    expect([report.status, report.headers.get('x-ratelimit-remaining')]).toEqual([200, '4']);
    const missing = await fetch(`${server.url}/missing`);
    expect([missing.status, missing.headers.get('x-ratelimit-remaining')]).toEqual([404, '3']);
    const refused = await fetch(`${server.url}/reports`, { method: 'POST' });
    expect(refused.status).toBe(429);
    expect(refused.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    expect(await refused.json()).toMatchObject({ 'violated-policies': ['minute'], limit: 10 });
    const health = await fetch(`${server.url}/health`);
    expect([health.status, health.headers.get('x-ratelimit-limit')]).toEqual([200, null]);
    server.child.kill('SIGTERM');
    expect(await server.exited, server.output()).toBe(0);
    const entrypoint = name === 'fastify' ? 'plugin' : 'middleware';
    await eventually(async () => {
      const rows = await policyRun.clickhouse.query(
        'SELECT status, decision, units FROM usage_events FINAL WHERE entrypoint = {entrypoint:String} ORDER BY time, event_id',
        { entrypoint },
      );
      expect(rows).toEqual([
        { status: 200, decision: 'allowed', units: 1 },
        { status: 200, decision: 'allowed', units: 5 },
        { status: 404, decision: 'allowed', units: 1 },
        { status: 429, decision: 'limited', units: 5 },
      ]);
      return true;
    });
  });

  test('without Redis, `open` serves and `closed` refuses with a 503', async () => {
    const nowhere = `redis://127.0.0.1:${await freePort()}`;
    for (const [mode, status] of [
      ['open', 200],
      ['closed', 503],
    ] as const) {
      const code = (await readmeCode(name, nowhere)).replace("onFailure: 'open'", `onFailure: '${mode}'`);
      const server = await startServer(name, code);
      const response = await fetch(`${server.url}/hello`);
      expect([mode, response.status]).toEqual([mode, status]);
      expect(response.headers.get('retry-after')).toBe(mode === 'open' ? null : '1');
      await response.text();
      server.child.kill('SIGTERM');
      expect(await server.exited, server.output()).toBe(0);
    }
  });

  test('an invalid policy stops the start with the line and the field', async () => {
    const code = (await readmeCode(name)).replace(`'${name}.yaml'`, "'invalid.yaml'");
    await writeFile(join(installed.dir, 'invalid.yaml'), 'version: 1\nplans: {}\n');
    await writeFile(join(installed.dir, 'invalid.js'), code);
    const program = installed.start(process.execPath, ['invalid.js']);
    await once(program.child, 'exit');
    expect(program.output()).toMatch(/invalid\.yaml:\d+:\d+/);
  });

  test('the declarations compile in strict mode, and publint and attw find nothing', async () => {
    await writeFile(join(installed.dir, `${name}.ts`), typed(await readmeCode(name)));
    const { dir } = installed;
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2024', '--types', 'node'];
    await run(join(dir, 'node_modules/.bin/tsc'), [...options, '--ignoreConfig', `${name}.ts`], {
      cwd: dir,
    }).catch((error: unknown) => {
      throw new Error((error as { stdout: string }).stdout);
    });
    await run('publint', ['--strict', installed.built(name)]);
    await run('attw', ['--pack', installed.built(name), '--profile', 'esm-only']);
  });
});

/** The code of the README as TypeScript, which does not know that Tollgate has decided when a handler runs. */
function typed(code: string): string {
  return code
    .replace('request.tollgate.verdict.plan', 'request.tollgate?.verdict?.plan')
    .replace('verdictOf(request).plan.name', 'verdictOf(request)?.plan.name')
    .replaceAll('request.url.startsWith', 'request.url?.startsWith');
}
