import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import openapiTS, { astToString } from 'openapi-typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually, uniqueName } from '../../support/servers.ts';
import { adminToken, createFixture } from '../console/fixture.ts';
import type { Fixture } from '../console/fixture.ts';
import { service, useApi } from '../gateway/api.ts';

/**
 * Goal: a client that is generated from the OpenAPI documents works with the servers. Method: generate the types as a
 * user does, compile the example with them under the strictest settings, and run it against both listeners.
 */
const api = useApi();
const run = promisify(execFile);
let fixture: Fixture;
let adminUrl: string;
let dir: string;

beforeAll(async () => {
  fixture = await createFixture();
  adminUrl = await fixture.adminApp.listen({ host: '127.0.0.1', port: 0 });
  await mkdir('.local', { recursive: true });
  // Inside the repository, so that the example can import its packages.
  dir = await mkdtemp(resolve('.local/openapi-client-'));
  const documents = {
    'tollgate.d.ts': `${api.gateway.apiUrl}/openapi.json`,
    'tollgate-admin.d.ts': `${adminUrl}/admin/openapi.json`,
  };
  for (const [file, url] of Object.entries(documents))
    await writeFile(join(dir, file), astToString(await openapiTS(await (await fetch(url)).text())));
  await copyFile('examples/typescript/client.ts', join(dir, 'client.ts'));
  await writeFile(
    join(dir, 'tsconfig.json'),
    JSON.stringify({
      extends: '../../tsconfig.json',
      compilerOptions: { skipLibCheck: false, lib: ['es2024', 'dom'] },
      include: ['.'],
    }),
  );
});

afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
  await fixture.dispose();
});

test('the example compiles against the generated types, and a wrong field does not', async () => {
  await compile();
  const wrong = `import createClient from 'openapi-fetch';
    import type { paths } from './tollgate.d.ts';
    const api = createClient<paths>({ baseUrl: '' });
    await api.POST('/v1/check', { body: { method: 'GET', path: 5 } });`;
  await writeFile(join(dir, 'wrong.ts'), wrong);
  await expect(compile()).rejects.toMatchObject({
    stdout: expect.stringMatching(/wrong\.ts\(4,.*'number' is not assignable to type 'string'/) as string,
  });
  await rm(join(dir, 'wrong.ts'));
});

test('the example runs against both listeners', async () => {
  const tenant = uniqueName('example');
  await eventually(() => fixture.directory.ready());
  const { stdout } = await run(process.execPath, ['client.ts'], {
    cwd: dir,
    env: {
      PATH: process.env['PATH'],
      TOLLGATE_API: api.gateway.apiUrl,
      TOLLGATE_SERVICE_TOKEN: service['x-service-token'],
      TOLLGATE_ADMIN: adminUrl,
      TOLLGATE_ADMIN_TOKEN: adminToken,
      TENANT: tenant,
    },
  });
  expect(stdout).toMatch(
    /^plan: pro\nallowed: true\nlimits: minute \d+.*\npublished: 1\nrequests today: 0\n$/,
  );
  expect(fixture.directory.get(tenant)).toMatchObject({ plan: 'pro', updated_by: 'example' });
  expect(api.gateway.events).toMatchObject([
    { type: 'tollgate.request.v1', subject: tenant },
    { type: 'tokens.used', subject: tenant },
  ]);
});

async function compile(): Promise<void> {
  await run(process.execPath, [resolve('node_modules/.bin/tsc'), '--noEmit', '-p', 'tsconfig.json'], {
    cwd: dir,
  });
}
