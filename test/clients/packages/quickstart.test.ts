// Goal: the quickstart works word for word in an empty folder, with the packages as they are published.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { freePort } from '../../../dev/servers/free-port.ts';
import { processesOf } from '../../support/checkout.ts';
import type { StackFile } from '../../support/checkout.ts';
import { createClickHouseHttp } from '../../support/clickhouse-http.ts';
import { eventually, servers, uniqueNamespace } from '../../support/servers.ts';
import { codeBlocks, installPackages, run } from './installed-packages.ts';
import type { InstalledPackages, StartedProgram } from './installed-packages.ts';

let installed: InstalledPackages;
beforeAll(async () => {
  installed = await installPackages(['tollgate', 'fastify'], ['fastify']);
}, 600_000);
afterAll(() => installed.remove());

test(
  'F5: the quickstart records in shadow mode what an enforced limit refuses',
  { timeout: 240_000 },
  async () => {
    const { dir } = installed;
    const { redisUrl, kafkaBrokers, clickhouseUrl } = servers();
    const { topicPrefix, database } = uniqueNamespace();
    const [policy = ''] = await codeBlocks('docs/quickstart.md', 'yaml');
    const [code = ''] = await codeBlocks('docs/quickstart.md', 'js');
    await writeFile(join(dir, 'policy.yaml'), policy);
    const tollgate = join(dir, 'node_modules/.bin/tollgate');
    const { stdout } = await run(tollgate, ['policy', 'check', 'policy.yaml'], { cwd: dir });
    expect(stdout).toContain('policy.yaml is valid');
    const stack = await startStack('npx', ['tollgate'], {
      CLICKHOUSE_DATABASE: database,
      TOLLGATE_TOPIC_PREFIX: topicPrefix,
    });
    const file = JSON.parse(await readFile(join(dir, '.local/stack.json'), 'utf8')) as StackFile;
    const port = await freePort();
    const edited = code
      .replace('redis://127.0.0.1:6379', redisUrl)
      .replace("kafka: '127.0.0.1:9092'", `kafka: '${kafkaBrokers}', topicPrefix: '${topicPrefix}'`)
      .replace('3000', String(port));
    await writeFile(join(dir, 'fastify.mjs'), edited);
    const api = installed.start(process.execPath, ['fastify.mjs'], {
      TOLLGATE_SERVICE_TOKEN: file.service_token,
    });
    const call = async (): Promise<number> => {
      const response = await fetch(`http://127.0.0.1:${port}/hello`);
      await response.text();
      return response.status;
    };
    await eventually(call);
    for (let count = 0; count < 30; count += 1) expect(await call()).toBe(200);
    const clickhouse = createClickHouseHttp(clickhouseUrl, { database });
    const decisions =
      "SELECT DISTINCT decision FROM usage_events WHERE type = 'tollgate.request.v1' ORDER BY decision";
    await eventually(async () => (await clickhouse.text(decisions)) === 'allowed\nshadow_limited\n');
    await writeFile(join(dir, 'policy.yaml'), policy.replace('mode: shadow', 'mode: enforce'));
    await eventually(async () => (await call()) === 429);
    api.child.kill('SIGTERM');
    stack.child.kill('SIGTERM');
    await untilEnded();
  },
);

test('no process of the stack outlives the command that started it', { timeout: 240_000 }, async () => {
  const { topicPrefix, database } = uniqueNamespace();
  const stack = await startStack(join(installed.dir, 'node_modules/.bin/tollgate'), [], {
    CLICKHOUSE_DATABASE: database,
    TOLLGATE_TOPIC_PREFIX: topicPrefix,
  });
  expect(await processesOf(installed.dir)).not.toEqual([]);
  stack.child.kill('SIGKILL');
  await untilEnded();
});

/** Starts the stack by a command, on the servers of the test run. */
async function startStack(
  command: string,
  args: readonly string[],
  names: Readonly<Record<string, string>>,
): Promise<StartedProgram> {
  const { redisUrl, kafkaBrokers, clickhouseUrl } = servers();
  const stack = installed.start(command, [...args, 'start', '--no-traffic', '--no-history'], {
    TOLLGATE_POLICY: 'policy.yaml',
    REDIS_URL: redisUrl,
    KAFKA_BROKERS: kafkaBrokers,
    CLICKHOUSE_URL: clickhouseUrl,
    ...names,
  });
  await eventually(() => stack.output().includes('Tollgate is ready'), { timeoutMs: 120_000 }).catch(() => {
    throw new Error(stack.output());
  });
  return stack;
}

/** Waits until the stack has stopped as after Ctrl-C: its file is removed, and no process is left. */
async function untilEnded(): Promise<void> {
  await eventually(async () => {
    const file = await readFile(join(installed.dir, '.local/stack.json'), 'utf8').catch(() => null);
    expect([file, await processesOf(installed.dir)]).toEqual([null, []]);
    return true;
  });
}
