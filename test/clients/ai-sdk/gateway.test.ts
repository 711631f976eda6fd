// Goal: an application that uses the official SDKs of OpenAI and Anthropic can use Tollgate when only the SDK's base URL
// is changed.
import AnthropicSdk from '@anthropic-ai/sdk';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { startSampleApi } from '../../support/sample-api.ts';
import type { SampleApi } from '../../support/sample-api.ts';
import { uniqueName } from '../../support/servers.ts';
import { textApis, uniqueModel } from './clients.ts';
import type { Target } from './clients.ts';
import { failure, testSdks } from './matrix.ts';

let sample: SampleApi;
let run: PolicyRun;
let target: Target;

beforeAll(async () => {
  sample = await startSampleApi();
  run = await runPolicy('default', {
    services: ['gateway'],
    env: { TOLLGATE_UPSTREAM: sample.url },
    edit: (text) =>
      text
        .replace('limit: 100, window: 1m }', 'limit: 2, window: 2s }')
        .replace('limit: 5000, window: 1m }', 'limit: 1, window: 1h }')
        .replace('slow_down: { from: 0.8, max_delay: 500ms }', ''),
  });
  target = await targetOf('pro');
});
afterAll(async () => {
  await run.stop();
  await sample.stop();
});

async function targetOf(plan: string): Promise<Target> {
  const credential = await run.token({ tenant_id: uniqueName('ai'), sub: 'ada', tier: plan });
  return { url: run.installation.urls.gateway, credential };
}

testSdks(() => ({ sample, target }));

describe('F5: the response through the gateway has the bytes of the direct one', () => {
  const bodies = {
    '/v1/chat/completions': { messages: [{ role: 'user', content: 'Hello' }], n: 2 },
    '/v1/responses': { input: 'Hello' },
    '/v1/messages': { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 50 },
    '/v1/embeddings': { input: ['Hello'] },
  };
  test.each(
    Object.entries(bodies).flatMap(([path, body]) =>
      [true, false].flatMap((stream) =>
        ['identity', 'gzip', 'br'].map((coding) => ({ path, body, stream, coding })),
      ),
    ),
  )('F5: $path, stream $stream, $coding', async ({ path, body, stream, coding }) => {
    const call = async (base: string): Promise<{ status: number; headers: object; text: string }> => {
      const response = await fetch(base + path, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${target.credential}`,
          'content-type': 'application/json',
          'accept-encoding': coding,
          'x-sample': 'tokens=12',
        },
        body: JSON.stringify({ model: 'equal', stream, stream_options: { include_usage: true }, ...body }),
      });
      const names = ['content-type', 'content-encoding', 'cache-control', 'vary'];
      return {
        status: response.status,
        headers: Object.fromEntries(names.map((name) => [name, response.headers.get(name)])),
        text: withoutIdentity(await response.text()),
      };
    };
    const direct = await call(sample.url);
    expect(direct.status).toBe(200);
    expect(direct.headers).toMatchObject({ 'content-encoding': coding === 'identity' ? null : coding });
    expect(await call(target.url)).toEqual(direct);
  });
});

describe.each(textApis)('$name over its limit', (api) => {
  test('A4: a refused call is a RateLimitError with the reason and Retry-After', async () => {
    const enterprise = await targetOf('enterprise');
    const model = uniqueModel();
    await api.complete(enterprise, { model });
    for (const call of [api.complete, api.stream]) {
      const error = await failure(call(enterprise, { model }));
      expect(error).toBeInstanceOf(
        api.endpoint === '/v1/messages' ? AnthropicSdk.RateLimitError : OpenAI.RateLimitError,
      );
      const { message, headers } = error as InstanceType<typeof OpenAI.RateLimitError>;
      expect(message).toContain('Rate limit exceeded: 1 per 1 hour');
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
    }
    expect(await sample.calls({ model })).toHaveLength(1);
  });

  test('A4: the SDK’s own retry waits as long as Retry-After says, and then succeeds at its first try', async () => {
    const free = await targetOf('free');
    const model = uniqueModel();
    const startedAt = performance.now();
    for (let call = 0; call < 2; call++) await api.complete(free, { model });
    const seen = await api.stream(free, { model, maxRetries: 1, switches: 'tokens=3' });
    expect(seen.text).toBe('Usage is metered');
    expect(performance.now() - startedAt).toBeGreaterThan(1_900);
    expect(await sample.calls({ model })).toHaveLength(3);
  });
});

describe.each(textApis)('$name with a wait of up to an hour', (api) => {
  test('A4: the SDK reports the refusal at once instead of sleeping or repeating the call', async () => {
    const enterprise = await targetOf('enterprise');
    const model = uniqueModel();
    await api.complete(enterprise, { model });
    let tries = 0;
    const error = await failure(
      api.complete(enterprise, { model, maxRetries: 2, onTry: () => void (tries += 1) }),
    );
    expect(error).toMatchObject({ status: 429 });
    const { headers } = error as InstanceType<typeof OpenAI.RateLimitError>;
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(60);
    expect(headers.get('x-should-retry')).toBe('false');
    expect(tries).toBe(1);
  });
});

/** Removes what differs from call to call: the id, and the time in seconds. */
function withoutIdentity(text: string): string {
  return text.replaceAll(/[0-9a-f]{24}/g, 'id').replaceAll(/"(created|created_at)":\d+/g, '"$1":0');
}
