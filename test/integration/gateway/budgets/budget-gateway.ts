import type { IncomingMessage } from 'node:http';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { createAiRoutes } from '../../../../dev/sample/ai/routes.ts';
import type { JournalEntry } from '../../../../dev/sample/ai/journal.ts';
import { amendEventType } from '../../../../shared/domain/events/correction.ts';
import type { CorrectionData } from '../../../../shared/domain/events/correction.ts';
import type { UsageCloudEvent } from '../../../../shared/domain/usage-event.ts';
import { eventually } from '../../../support/servers.ts';
import { as, startGateway, startUpstream } from '../gateway.ts';
import type { TestGateway, TestUpstream } from '../gateway.ts';

/** Prices per million tokens: 1 usd for input, 0.5 for cached input, 4 for output. */
export const budgetPolicy = {
  quantities: '{ tokens: { sum: [input_tokens, output_tokens] }, usd: { decimals: 6, cost: true } }',
  prices: `
  - { model: "small*", per: 1000000, input_tokens: 1, cached_input_tokens: 0.5, output_tokens: 4 }`,
  plans: `
  free:
    limits:
      - { name: calls, per: tenant, limit: 1000, window: 1m }
      - { name: tokens, of: tokens, per: tenant, limit: 2000, window: 1h }
      - { name: spend, of: usd, per: tenant, limit: 0.05, window: 1mo, type: quota }`,
  routes: `
  - match: POST /v1/chat/completions
    usage: { format: openai_chat }
    reserve: { output_tokens: 500 }
  - match: POST /v1/messages
    usage: { format: anthropic_messages, on_exhausted: cut, slice: 50 }
  - match: POST /work
    charge: { unless_status: [5xx] }`,
  services: '[{ name: app, token_env: TOLLGATE_SERVICE_TOKEN }]',
};

export interface BudgetGateway {
  readonly gateway: TestGateway;
  /** Sends a chat completion of `tenant`; `switches` are those of the sample API. */
  chat(tenant: string, body: object, switches?: string): Promise<Response>;
  message(tenant: string, body: object, switches?: string): Promise<Response>;
  /** Waits until the call of a decision is settled, and returns the data of its last amend event. */
  settled(decision: string | null): Promise<CorrectionData>;
  amends(decision: string): CorrectionData[];
  /** Units left of each limit, by name. */
  left(tenant: string): Promise<Record<string, number>>;
  /** What the sample API generated for the call of a decision. */
  journal(decision: string | null): Promise<JournalEntry>;
}

/** Starts a gateway with budgets before the sample API, for the tests of one file. */
export function useBudgets(policy: Readonly<Record<string, string>> = budgetPolicy): BudgetGateway {
  let upstream: TestUpstream;
  let gateway: TestGateway;
  const ai = createAiRoutes(readBody);

  beforeAll(async () => {
    upstream = await startUpstream((request, response) => {
      const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
      if (path === '/sample/journal') void ai.sendJournal(request, response);
      else void (ai.serve(request, response, path) ?? Promise.resolve(response.writeHead(404).end()));
    });
    gateway = await startGateway({ policy, upstream: upstream.url });
  });
  afterAll(async () => {
    await gateway.close();
    await upstream.close();
  });
  afterEach(() => void (gateway.events.length = 0));

  const post = async (path: string, tenant: string, body: object, switches?: string): Promise<Response> =>
    fetch(gateway.proxyUrl + path, {
      method: 'POST',
      headers: {
        ...(await as(tenant)),
        'content-type': 'application/json',
        ...(switches === undefined ? {} : { 'x-sample': switches }),
      },
      body: JSON.stringify({
        model: 'small-1',
        messages: [{ role: 'user', content: 'Hello there' }],
        ...body,
      }),
    });
  const amends = (decision: string): CorrectionData[] =>
    gateway.events
      .filter((event): event is UsageCloudEvent<CorrectionData> => event.type === amendEventType)
      .map(({ data }) => data)
      .filter(({ event_id: id }) => id === decision);

  return {
    get gateway() {
      return gateway;
    },
    chat: (tenant, body, switches) => post('/v1/chat/completions', tenant, body, switches),
    message: (tenant, body, switches) =>
      post('/v1/messages', tenant, { max_tokens: 100_000, ...body }, switches),
    amends,
    settled: async (decision) => {
      await eventually(() =>
        amends(decision ?? '').some(({ reservation }) => reservation?.state === 'settled'),
      );
      return amends(decision ?? '').at(-1) as CorrectionData;
    },
    left: async (tenant) => {
      const response = await fetch(`${gateway.apiUrl}/v1/usage`, { headers: await as(tenant) });
      const { limits } = (await response.json()) as { limits: { name: string; remaining: number }[] };
      return Object.fromEntries(limits.map(({ name, remaining }) => [name, remaining]));
    },
    journal: async (decision) => {
      const response = await fetch(`${upstream.url}/sample/journal?decision=${decision ?? ''}`);
      const { calls } = (await response.json()) as { calls: JournalEntry[] };
      if (calls[0] === undefined) throw new Error('the sample API has no call of this decision');
      return calls[0];
    },
  };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}
