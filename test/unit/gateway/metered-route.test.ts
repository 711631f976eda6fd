import { expect, test } from 'vitest';
import { readRequest } from '../../../services/gateway/enforcer/read-request.ts';
import type { RawRequest } from '../../../services/gateway/enforcer/read-request.ts';
import { meteredRoute } from '../../../services/gateway/reservations/metered-route.ts';
import { policyOf } from '../policy/text.ts';

const parts = {
  quantities: '{ tokens: { sum: [input_tokens, output_tokens] } }',
  routes: '[{ match: POST /v1/chat/completions, usage: { format: openai_chat } }, { match: GET /v1/models }]',
};

test('a request whose route was looked up before its decision is read once', () => {
  const policy = policyOf(parts);
  for (const request of [
    { method: 'POST', url: '/v1/chat/completions' },
    { method: 'GET', url: '/v1/models' },
  ] as RawRequest[]) {
    const route = meteredRoute(policy, request);
    expect(route === null).toBe(request.method === 'GET');
    const readings = readRequest(policy, { ...request, unreadable: null });
    expect(readings).toBe(readRequest(policy, request));
    expect(readings.route?.match).toBe(`${request.method} ${request.url}`);
  }
});

test('an earlier reading does not count for another policy, another target, another method or an unreadable request', () => {
  const policy = policyOf(parts);
  const request: RawRequest = { method: 'POST', url: '/v1/chat/completions' };
  const metered = meteredRoute(policy, request);
  expect(metered).not.toBeNull();
  const other = policyOf({ ...parts, routes: '[{ match: POST /v1/chat/completions, cost: 7 }]' });
  expect(readRequest(other, request).route?.cost).toBe(7);
  expect(readRequest(policy, { ...request, url: '/v1/models' }).route).toBeNull();
  expect(readRequest(policy, { ...request, method: 'GET' }).route).toBeNull();
  const fault = { status: 400, detail: 'no' } as const;
  expect(readRequest(policy, { ...request, unreadable: fault })).toMatchObject({
    target: null,
    unreadable: fault,
  });
});
