// Goal: a real Envoy that checks budgets before a call and reports its tokens at the end of the stream charges each call once,
// in full. It runs with `examples/envoy/budgets.yaml`; the API behind it is a stub that reports usage as OpenAI does.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listenEnvoy } from '../../../services/gateway/listeners/rls-listener.ts';
import type { EnvoyServer } from '../../../services/gateway/listeners/rls-listener.ts';
import { amendEventType } from '../../../shared/domain/events/correction.ts';
import type { CorrectionData } from '../../../shared/domain/events/correction.ts';
import { budgetPolicy } from '../../integration/gateway/budgets/budget-gateway.ts';
import { as, startGateway, startUpstream } from '../../integration/gateway/gateway.ts';
import type { TestGateway, TestUpstream } from '../../integration/gateway/gateway.ts';
import { eventually, uniqueName } from '../../support/servers.ts';
import { startEnvoy } from './envoy.ts';
import type { Envoy } from './envoy.ts';

let gateway: TestGateway;
let upstream: TestUpstream;
let grpc: EnvoyServer;
let envoy: Envoy;
/** What the stub reports; null: it fails. */
let reported: { prompt_tokens: number; completion_tokens: number } | null = null;

beforeAll(async () => {
  upstream = await startUpstream((_request, response) => {
    response.writeHead(reported === null ? 500 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(reported === null ? { error: 'broken' } : { id: 'x', usage: reported }));
  });
  gateway = await startGateway({ policy: budgetPolicy });
  const { enforcer } = gateway;
  grpc = await listenEnvoy({ enforcer, host: '127.0.0.1', port: 0, rateLimitWaitMsMax: 3_000 });
  envoy = await startEnvoy('budgets.yaml', { api: upstream.url, tollgate: `127.0.0.1:${grpc.port}` });
});

afterAll(async () => {
  await envoy.stop();
  await grpc.close();
  await gateway.close();
  await upstream.close();
});

function chat(headers: Record<string, string>): Promise<Response> {
  return fetch(`${envoy.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json', 'x-request-id': 'chosen-by-the-client' },
    body: JSON.stringify({ model: 'small-1', messages: [] }),
  });
}

async function left(headers: Record<string, string>): Promise<Record<string, number>> {
  const response = await fetch(`${gateway.apiUrl}/v1/usage`, { headers });
  const { limits } = (await response.json()) as { limits: { name: string; left: number }[] };
  return Object.fromEntries(limits.map((limit) => [limit.name, limit.left]));
}

function amends(): CorrectionData[] {
  return gateway.events
    .filter(({ type }) => type === amendEventType)
    .map(({ data }) => data as CorrectionData);
}

test('calls pass until the budget is used up, each is charged in full and once, and the next is a 429', async () => {
  const headers = await as(uniqueName('acme'));
  gateway.events.length = 0;
  reported = { prompt_tokens: 200, completion_tokens: 700 };
  for (let calls = 1; calls <= 3; calls += 1) {
    expect((await chat(headers)).status).toBe(200);
    await eventually(() => amends().length === calls);
  }
  expect(await left(headers)).toEqual({ calls: 997, tokens: -700, spend: 0.041 });
  const refused = await chat(headers);
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({
    status: 429,
    quantity: 'tokens',
    'violated-policies': ['tokens'],
  });
  const served = gateway.requests().filter(({ data }) => data.decision === 'allowed');
  expect(served.map(({ data }) => [data.units, data.model])).toEqual(
    [1, 1, 1].map((units) => [units, 'small-1']),
  );
  expect(new Set(served.map(({ data }) => data.reservation?.id)).size).toBe(3);
  expect(amends().map(({ quantities, cost }) => [quantities, cost])).toEqual(
    [1, 2, 3].map(() => [{ tokens: 900, usd: 0.003 }, 0.003]),
  );
});

test('a call whose API fails is charged nothing and leaves nothing reserved', async () => {
  const headers = await as(uniqueName('acme'));
  gateway.events.length = 0;
  reported = null;
  expect((await chat(headers)).status).toBe(500);
  await eventually(() => amends().length === 1);
  expect(await left(headers)).toEqual({ calls: 999, tokens: 2000, spend: 0.05 });
  expect(amends()).toMatchObject([{ quantities: { tokens: 0, usd: 0 }, reservation: { state: 'settled' } }]);
});
