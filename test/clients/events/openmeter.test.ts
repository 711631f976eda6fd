// Goal: an application that uses OpenMeter's SDK can use Tollgate when only the SDK's base URL is changed.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { HTTPError, OpenMeter } from '@openmeter/sdk';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pythonBin } from '../../../dev/python-packages.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { uniqueName } from '../../support/servers.ts';
import { untilStored } from './stored.ts';

let run: PolicyRun;
beforeAll(async () => {
  run = await runPolicy('default', { services: ['gateway', 'aggregator'] });
});
afterAll(() => run.stop());

test('F5: @openmeter/sdk ingests one event and a batch, and its errors state the violation', async () => {
  const tenant = uniqueName('npm');
  const baseUrl = run.installation.urls.api;
  const openmeter = new OpenMeter({ baseUrl, apiKey: run.serviceToken });
  const event = (id: string, units = 1) => ({
    id,
    type: 'tokens.used',
    subject: tenant,
    data: { units, model: 'small' },
  });
  await openmeter.events.ingest(event('one'));
  await openmeter.events.ingest(Array.from({ length: 20 }, (_, index) => event(`many ${index}`)));
  await openmeter.events.ingest(event('one'));
  const bad: unknown = await openmeter.events
    .ingest([event('good'), event('bad', -1)])
    .catch((error: unknown) => error);
  expect(bad).toBeInstanceOf(HTTPError);
  expect(bad).toMatchObject({
    status: 400,
    title: 'Bad request',
    type: 'about:blank',
    message: expect.stringContaining('Event 1 of 2: data.units must be a number') as unknown,
  });
  const unauthorized = new OpenMeter({ baseUrl, apiKey: 'wrong' });
  expect(
    await unauthorized.events.ingest(event('unauthorized')).catch((error: unknown) => error),
  ).toMatchObject({
    status: 401,
  });
  await untilStored(run, tenant, ['one', ...Array.from({ length: 20 }, (_, index) => `many ${index}`)]);
});

test("a tenant's own token ingests for that tenant only", async () => {
  const tenant = uniqueName('own');
  const apiKey = await run.token({ tenant_id: tenant });
  const openmeter = new OpenMeter({ baseUrl: run.installation.urls.api, apiKey });
  const event = (subject: string) => ({
    id: `of ${subject}`,
    type: 'tokens.used',
    subject,
    data: { units: 1 },
  });
  await openmeter.events.ingest(event(tenant));
  const other = await openmeter.events.ingest(event('other')).catch((error: unknown) => error);
  expect(other).toMatchObject({
    status: 400,
    message: expect.stringContaining('your own tenant') as unknown,
  });
  await untilStored(run, tenant, [`of ${tenant}`]);
});

test('F5: the Python package openmeter ingests one event and a batch, and its errors state the violation', async () => {
  const tenant = uniqueName('python');
  const python = join(
    await pythonBin('openmeter', (line) => void process.stderr.write(`${line}\n`)),
    'python',
  );
  const script = join(import.meta.dirname, 'ingest_openmeter.py');
  const { stdout } = await promisify(execFile)(python, [
    script,
    run.installation.urls.api,
    run.serviceToken,
    tenant,
  ]);
  expect(JSON.parse(stdout)).toMatchObject({
    bad: {
      status: 400,
      body: { detail: expect.stringContaining('data.units') as unknown, events: [{ id: 'python bad' }] },
    },
    unauthorized: { status: 401, body: { title: 'Unauthorized', status: 401 } },
  });
  await untilStored(run, tenant, [
    'python one',
    ...Array.from({ length: 5 }, (_, index) => `python ${index}`),
  ]);
});
