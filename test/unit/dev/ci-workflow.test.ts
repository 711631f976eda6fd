import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

interface Workflow {
  readonly permissions: Readonly<Record<string, string>>;
  readonly jobs: Readonly<
    Record<string, { readonly 'timeout-minutes': number; readonly steps: readonly Step[] }>
  >;
}

interface Step {
  readonly run?: string;
  readonly uses?: string;
}

const workflow = parse(readFileSync('.github/workflows/ci.yml', 'utf8')) as Workflow;
const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as {
  readonly scripts: Readonly<Record<string, string>>;
};
const commands = Object.values(workflow.jobs).flatMap(({ steps }) => steps.flatMap(({ run = '' }) => run));

test('the workflow runs lint, types, all tests, and the stack in containers', () => {
  const text = commands.join('\n');
  for (const command of [
    'npm run lint',
    'npm run typecheck',
    'npm test',
    'npm run test:browser',
    'npm run test:clients',
    'npm run test:upgrade',
  ])
    expect(text).toContain(command);
  expect(text).toContain('STACK=containers node dev/start.ts');
  expect(text).toContain('docker compose up --build --detach --wait');
});

test('each npm script of the workflow exists, and each job has a time limit and may only read', () => {
  for (const [, script = ''] of commands.join('\n').matchAll(/npm run ([\w:]+)/g))
    expect(scripts).toHaveProperty(script);
  for (const job of Object.values(workflow.jobs)) expect(job['timeout-minutes']).toBeLessThanOrEqual(45);
  expect(workflow.permissions).toEqual({ contents: 'read' });
});
