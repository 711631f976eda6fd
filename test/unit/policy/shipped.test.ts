import { readdirSync } from 'node:fs';
import { format } from 'prettier';
import { expect, test } from 'vitest';
import { loadPolicy } from '../../../shared/policy/load.ts';
import { limitsFor } from '../../../shared/policy/match.ts';
import { publishedSchema } from '../../../shared/policy/file/schema.ts';
import { policyEnv, routeOf } from './text.ts';

/** `name limit/window` of every limit of a request under a shipped policy. */
async function limitsIn(file: string, request: string, plan: string | null = null): Promise<string[]> {
  const policy = await loadPolicy(`policies/${file}`, policyEnv);
  const [method = '', path = ''] = request.split(' ');
  const { limits } = limitsFor(policy, {
    plan,
    record: null,
    route: routeOf(policy, method, path),
    nowMs: 0,
  });
  return limits.map(
    ({ name, limit, windowMs, per }) => `${name} ${limit}/${windowMs / 1000}s per ${per.join('+')}`,
  );
}

test('the published JSON Schema is the schema that validates policies', async () => {
  // `npx vitest run --project unit test/unit/policy/shipped.test.ts -u` writes the file.
  const text = await format(JSON.stringify(publishedSchema()), { parser: 'json', printWidth: 110 });
  await expect(text).toMatchFileSnapshot('../../../policies/schema.json');
});

test.each(readdirSync('policies').filter((name) => name.endsWith('.yaml')))('%s loads', async (file) => {
  await expect(loadPolicy(`policies/${file}`, policyEnv)).resolves.toMatchObject({ mode: 'enforce' });
});

test.each([
  // A1
  ['story-3.5.yaml', 'GET /x', 'trial', ['hour 10/3600s per tenant']],
  ['story-3.5.yaml', 'GET /x', 'pro', ['hour 100/3600s per tenant']],
  ['story-3.5.yaml', 'GET /x', 'enterprise', ['hour 1000/3600s per tenant']],
  // A3
  ['story-3.5.yaml', 'POST /reports', 'pro', ['hour 100/3600s per tenant', 'reports 20/3600s per tenant']],
  // B1
  ['public-api.yaml', 'GET /x', 'free', ['minute 100/60s per tenant', 'day 1000/86400s per tenant']],
  ['public-api.yaml', 'GET /x', 'pro', ['minute 1000/60s per tenant']],
  // C1
  [
    'coretrack.yaml',
    'POST /agent/chat',
    'standard',
    ['minute 12/60s per tenant', 'day 400/86400s per tenant'],
  ],
  [
    'coretrack.yaml',
    'POST /agent/chat',
    'enterprise',
    ['minute 12/60s per tenant', 'day 1000/86400s per tenant'],
  ],
  // D2
  ['agentos.yaml', 'POST /agents/a1/runs', null, ['agent-runs 10/60s per tenant+user']],
  ['agentos.yaml', 'GET /x', null, []],
  // E1, E2
  ['vaultmind.yaml', 'GET /health', null, ['user-minute 120/60s per user', 'health 100/60s per ip']],
  ['vaultmind.yaml', 'POST /agent/chat', 'pro', ['user-minute 600/60s per user', 'chat 10/60s per ip']],
  [
    'vaultmind.yaml',
    'POST /agent/calendar',
    null,
    ['user-minute 120/60s per user', 'calendar 20/60s per ip'],
  ],
  ['vaultmind.yaml', 'GET /audit/logs', null, ['user-minute 120/60s per user', 'audit-logs 30/60s per ip']],
  [
    'default.yaml',
    'POST /agent/chat',
    'free',
    ['minute 100/60s per tenant', 'day 1000/86400s per tenant', 'chat 10/60s per user'],
  ],
  [
    'default.yaml',
    'POST /agents/a1/runs',
    'pro',
    ['minute 1000/60s per tenant', 'agent-runs 10/60s per tenant+user'],
  ],
  // F1: limits of tokens and money apply only to calls whose usage is read.
  ['ai-budgets.yaml', 'GET /v1/models', 'free', ['minute 60/60s per tenant']],
  [
    'ai-budgets.yaml',
    'POST /v1/chat/completions',
    'free',
    [
      'minute 60/60s per tenant',
      'tokens 20000/60s per tenant',
      'user-day 500000/86400s per tenant+user',
      'spend 5000000/2592000s per tenant',
      'bill 10000000000/2592000s per global',
    ],
  ],
])('A1 B1 C1 D2 E1 E2 F1: %s chooses for %s on plan %s', async (file, request, plan, expected) => {
  expect(await limitsIn(file, request, plan)).toEqual(expected);
});

test.each(['story-3.5.yaml', 'default.yaml'])(
  'A7 A8: %s has the platform limit and the widget sessions',
  async (file) => {
    const policy = await loadPolicy(`policies/${file}`, policyEnv);
    expect(policy.platform).toMatchObject([{ type: 'concurrent', limit: 1000, per: ['global'] }]);
    expect(policy.sessions.get('widget')).toMatchObject({ limit: 50, per: ['tenant'] });
  },
);

test('E6: cost reports have prices', async () => {
  for (const file of ['vaultmind.yaml', 'coretrack.yaml', 'default.yaml']) {
    const policy = await loadPolicy(`policies/${file}`, policyEnv);
    expect(routeOf(policy, 'POST', '/agent/chat')?.price).toBeGreaterThan(0);
  }
});
