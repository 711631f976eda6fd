// Goal: the example of docs/api.md behaves as its text describes.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { amendEventType } from '../../../../shared/domain/events/correction.ts';
import { policyEnv } from '../../../unit/policy/text.ts';
import { useApi } from '../api.ts';

interface Example {
  handle(
    request: { tenantId: string; user: string; method: string; path: string },
    serve: () => Promise<{ status: number; body: unknown }>,
    respond: (status: number, headers: object, body: unknown) => unknown,
  ): Promise<unknown>;
  reportOutcomes(): Promise<void>;
}

const api = useApi();
let example: Example;
let away: Example;
beforeAll(async () => {
  process.env['TOLLGATE_SERVICE_TOKEN'] = policyEnv.TOLLGATE_SERVICE_TOKEN;
  const text = await readFile('docs/api.md', 'utf8');
  const [, code = ''] = /### A worked example\n[^`]*```js\n(.*?)```/s.exec(text) ?? [];
  const load = async (url: string): Promise<Example> => {
    const at = code.replace('http://127.0.0.1:8081', url);
    return (await import(`data:text/javascript,${encodeURIComponent(at)}`)) as Example;
  };
  example = await load(api.gateway.apiUrl);
  away = await load('http://127.0.0.1:9');
});
afterAll(() => {
  delete process.env['TOLLGATE_SERVICE_TOKEN'];
});

const chat = { user: 'u1', method: 'POST', path: '/agent/chat' };
const serve = () => Promise.resolve({ status: 201, body: 'served' });
const answer = (status: number, headers: object, body: unknown) => ({ status, headers, body });

test('E5: the example serves, refuses with the problem and its headers, and reports the outcomes of served requests', async () => {
  const answers = [];
  for (let i = 0; i < 4; i += 1) {
    answers.push(await example.handle({ ...chat, tenantId: api.tenant }, serve, answer));
  }
  expect(answers).toMatchObject([
    ...Array<unknown>(3).fill({ status: 201, body: 'served' }),
    { status: 429, headers: { 'retry-after': expect.any(String) as unknown }, body: { status: 429 } },
  ]);
  await example.reportOutcomes();
  const amends = api.gateway.events.filter(({ type }) => type === amendEventType);
  expect(amends.map(({ data }) => (data as { status: number }).status)).toEqual([201, 201, 201]);
});

test('the example serves when Tollgate does not respond', async () => {
  expect(await away.handle({ ...chat, tenantId: api.tenant }, serve, answer)).toMatchObject({ status: 201 });
  await away.reportOutcomes();
});
