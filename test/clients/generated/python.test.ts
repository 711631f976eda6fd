// Goal: a Python client that is generated from the OpenAPI document works with the api listener, and its types hold.
import { execFile } from 'node:child_process';
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pythonBin } from '../../../dev/python-packages.ts';
import { useBudgets } from '../../integration/gateway/budgets/budget-gateway.ts';
import { serviceToken } from '../../integration/gateway/gateway.ts';
import { uniqueName } from '../../support/servers.ts';

const budgets = useBudgets();
const script = 'use_client.py';
let bin: string;
let dir: string;

beforeAll(async () => {
  bin = await pythonBin('generated', (line) => void process.stderr.write(`${line}\n`));
  dir = await mkdtemp(join(tmpdir(), 'tollgate-generated-'));
  const document = await fetch(`${budgets.gateway.apiUrl}/openapi.json`);
  await writeFile(join(dir, 'openapi.json'), await document.text());
  const args = ['--path', 'openapi.json', '--output-path', 'tollgate_client', '--meta', 'none'];
  await run('openapi-python-client', ['generate', ...args]);
  await copyFile(join(import.meta.dirname, script), join(dir, script));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

function run(program: string, args: readonly string[]): Promise<{ readonly stdout: string }> {
  // The generator formats its code with ruff, which is beside it.
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` };
  return promisify(execFile)(join(bin, program), args, { cwd: dir, env });
}

test('the generated client checks, reserves, settles and reads usage', async () => {
  const tenant = uniqueName('python');
  const { stdout } = await run('python', [script, budgets.gateway.apiUrl, serviceToken, tenant]);
  expect(stdout).toBe('tokens used: 40\n');
  expect(budgets.gateway.events.map(({ type, subject }) => [type, subject])).toEqual([
    ['tollgate.request.v1', tenant],
    ['tollgate.amend.v1', tenant],
    ['tollgate.request.v1', tenant],
  ]);
});

test('the types of the generated client accept the code, and no wrong field', async () => {
  const types = await run('mypy', ['--strict', '--follow-imports=silent', script]).catch(
    (error: unknown) => error,
  );
  expect(types).toMatchObject({ stdout: expect.stringContaining('Success') as string });
  const code = await readFile(join(dir, script), 'utf8');
  await writeFile(join(dir, 'wrong.py'), code.replace('path="/work"', 'path=5'));
  await expect(run('mypy', ['--strict', '--follow-imports=silent', 'wrong.py'])).rejects.toMatchObject({
    stdout: expect.stringMatching(
      /wrong\.py:\d+: error: Argument "path" to "CheckBody" has incompatible type "int"/,
    ) as string,
  });
});
