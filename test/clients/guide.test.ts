// Goal: every program that the portal's guide shows is right. Method: run each as it is shown, against a gateway whose
// limit it exceeds.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pythonBin } from '../../dev/python-packages.ts';
import { samplesFor } from '../../services/console/portal/guide/guide-samples.ts';
import type { Sample } from '../../services/console/portal/guide/guide-samples.ts';
import { runPolicy } from '../support/policy-run.ts';
import type { PolicyRun } from '../support/policy-run.ts';
import { startSampleApi } from '../support/sample-api.ts';
import type { SampleApi } from '../support/sample-api.ts';
import { uniqueName } from '../support/servers.ts';

const execute = promisify(execFile);
const path = '/health';
const samples = samplesFor(path);
let api: SampleApi;
let run: PolicyRun;
let dir: string;
let python: string;

beforeAll(async () => {
  api = await startSampleApi();
  [run, python] = await Promise.all([
    runPolicy('ai-budgets', {
      services: ['gateway'],
      env: { TOLLGATE_UPSTREAM: api.url },
      edit: (text) => text.replace('limit: 60, window: 1m', 'limit: 2, window: 2s'),
    }),
    pythonBin('clients', () => undefined),
  ]);
  // Inside the repository, so that the programs can import its packages.
  dir = await mkdtemp(resolve('.local/guide-'));
});
afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
  await Promise.all([run.stop(), api.stop()]);
});

async function runSample({ id, language, code }: Sample, key: string): Promise<string> {
  const env = {
    PATH: process.env['PATH'],
    API_URL: run.installation.urls.gateway,
    TOLLGATE_URL: run.installation.urls.api,
    API_KEY: key,
  };
  const [program, ending] = {
    js: [process.execPath, 'mjs'] as const,
    python: [join(python, 'python'), 'py'] as const,
    sh: ['sh', 'sh'] as const,
  }[language] ?? ['', ''];
  const file = join(dir, `${id}.${ending}`);
  await writeFile(file, code.replace(`'@tollgate/client'`, `'${resolve('packages/client/client.ts')}'`));
  const { stdout } = await execute(program, [file], { env, timeout: 200_000 });
  return stdout;
}

test.each(samples.filter(({ id }) => id !== 'client'))(
  'E5: the sample for $name waits until its request passes',
  async (sample) => {
    const key = await run.token({ tenant_id: uniqueName('guide'), sub: 'ada', tier: 'free' });
    for (let sent = 0; sent < 2; sent += 1) await run.call(`GET ${path}`, { token: key });
    const startedMs = performance.now();
    expect(await runSample(sample, key)).toMatch(/^200\b/);
    expect(performance.now() - startedMs, 'it waited').toBeGreaterThan(900);
  },
);

test('the sample for @tollgate/client prints what is left of each limit', async () => {
  // A plan whose window is longer than the start of the program.
  const key = await run.token({ tenant_id: uniqueName('guide'), sub: 'ada', tier: 'pro' });
  await run.call(`GET ${path}`, { token: key });
  const client = samples.find(({ id }) => id === 'client');
  expect(client && (await runSample(client, key))).toMatch(
    /^minute: 599 of 600 left, complete again at 20\d\d-/m,
  );
});
