// Goal: the client package works as it is published: in each runtime, for the compiler, and in a browser.
import { once } from 'node:events';
import { createServer } from 'node:http';
import { readFile, writeFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { needProgram } from '../../../dev/packages.ts';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { uniqueName } from '../../support/servers.ts';
import { clientOf, request, spent, used } from './budget-calls.ts';
import { codeBlocks, installPackages, otherNode, patient, run as runCommand } from './installed-packages.ts';
import type { InstalledPackages } from './installed-packages.ts';

let run: PolicyRun;
let installed: InstalledPackages;
let site: Server;
let siteUrl: string;

beforeAll(async () => {
  // A site that serves the package, as it is published, to a browser.
  site = createServer((request, response) => {
    const path = request.url ?? '/';
    const isScript = path.endsWith('.js');
    response.setHeader('content-type', isScript ? 'text/javascript' : 'text/html');
    if (!isScript) response.end('<!doctype html><title>A page</title>');
    else
      void readFile(join(installed.built('client'), 'dist', path)).then(
        (text) => response.end(text),
        () => response.writeHead(404).end(),
      );
  });
  site.listen(0, '127.0.0.1');
  await once(site, 'listening');
  siteUrl = `http://127.0.0.1:${(site.address() as AddressInfo).port}`;
  [run, installed] = await Promise.all([
    runPolicy('ai-budgets', {
      services: ['gateway', 'aggregator'],
      edit: (text) => `${text}cors: { origins: ["${siteUrl}"] }\n`,
    }),
    installPackages(['client'], ['bun@1', 'deno@2', 'typescript@6']),
  ]);
});
afterAll(async () => {
  site.close();
  await Promise.all([run.stop(), installed.remove()]);
});

describe('the installed package', () => {
  test('F5: the code of the README reserves and settles, in Node, Bun and Deno', async () => {
    const code = (await codeBlocks('packages/client/README.md', 'js'))[1] ?? '';
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
        .replace("'acme'", `'${tenant}'`);
      await writeFile(join(installed.dir, `${tenant}.mjs`), text);
      const program = installed.start(command, [...args, `${tenant}.mjs`], {
        TOLLGATE_SERVICE_TOKEN: run.serviceToken,
      });
      expect([name, await program.exited, program.output()]).toEqual([name, 0, 'Hello\n']);
      expect(await used(run, tenant)).toMatchObject({ minute: 1, tokens: 358 });
    }
  });

  test('the declarations compile in strict mode without those of Node, and reject wrong fields', async () => {
    const code = `import { TollgateClient } from '@tollgate/client';
      const client = new TollgateClient({ url: '', token: '', onFailure: 'open' });
      const request = { method: 'POST', path: '/', reserve: { usage: { output_tokens: 1 } } };
      await using call = await client.reserve(request);
      call.report({ usage: { output_tokens: 1 } });
      const result = await client.reserved(request, () => 'text');
      export const text: string = result.allowed ? result.value : result.problem.detail;`;
    const wrong = 'export const value = (await client.reserved(request, () => 1)).value;';
    await writeFile(join(installed.dir, 'typed.mts'), code);
    await writeFile(join(installed.dir, 'wrong.mts'), `${code}\n${wrong}`);
    const compile = async (file: string): Promise<void> => {
      const compilerOptions = {
        ...{ noEmit: true, strict: true, module: 'nodenext', target: 'es2022' },
        ...{ lib: ['es2022', 'dom'], types: [] },
      };
      await writeFile(
        join(installed.dir, 'tsconfig.json'),
        JSON.stringify({ compilerOptions, files: [file] }),
      );
      await runCommand(join(installed.dir, 'node_modules/.bin/tsc'), [], { cwd: installed.dir });
    };
    await compile('typed.mts');
    await expect(compile('wrong.mts')).rejects.toMatchObject({
      stdout: expect.stringMatching(/^wrong\.mts\(8,.*'value' does not exist/) as string,
    });
    await runCommand('publint', ['--strict', installed.built('client')]);
    await runCommand('attw', ['--pack', installed.built('client'), '--profile', 'esm-only']);
  });

  test('F3: a page in a browser reads the usage of its tenant', async () => {
    const tenant = uniqueName('acme');
    await clientOf(run).reserved(request(tenant), (call) => call.report({ usage: spent }));
    const token = await run.token({ tenant_id: tenant, sub: 'u1', tier: 'free' });
    const browser = await chromium.launch({
      executablePath: await needProgram('chromium', () => undefined),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
      ],
    });
    try {
      const page = await browser.newPage();
      await page.goto(siteUrl);
      const read = (url: string): Promise<unknown> =>
        page.evaluate(
          `(async () => {
            const { TollgateClient } = await import('/packages/client/client.js');
            const client = new TollgateClient({ url: '${url}', token: '${token}', onFailure: 'open' });
            return client.usage().catch(({ name, message }) => ({ name, message }));
          })()`,
        );
      expect(await read(run.installation.urls.api)).toMatchObject({
        tenant_id: tenant,
        plan: 'free',
        limits: expect.arrayContaining([
          expect.objectContaining({ name: 'tokens', limit: 20_000, remaining: 19_850 }),
        ]) as unknown,
      });
      expect(await read('http://127.0.0.1:1')).toEqual({
        name: 'TollgateError',
        message: expect.stringContaining('Tollgate did not answer') as string,
      });
    } finally {
      await browser.close();
    }
  });
});
