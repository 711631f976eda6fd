import { describe, expect, test } from 'vitest';
import { policyOf } from './text.ts';

describe('F3: the CORS policy', () => {
  test('without the key no page may read responses, and preflights are still limited', () => {
    const { cors, preflight } = policyOf();
    expect(cors).toBeNull();
    expect(preflight).toMatchObject({ name: 'preflight', per: ['ip'], limit: 600, windowMs: 60_000 });
  });

  test('exposes the limit headers and the named headers, in lower case and once each', () => {
    const { cors } = policyOf({
      cors: '{ origins: [https://a.example], exposed_headers: [X-Page, RateLimit] }',
    });
    expect([...(cors?.origins ?? [])]).toEqual(['https://a.example']);
    expect(cors).toMatchObject({ credentials: false, maxAgeSeconds: 600 });
    expect(cors?.exposedHeaders.filter((name) => name === 'ratelimit')).toHaveLength(1);
    expect(cors?.exposedHeaders).toContain('x-page');
  });

  test.each([
    ['a path in an origin', '{ origins: [https://a.example/] }', /"https:\/\/a\.example\/" is not an origin/],
    ['upper case in an origin', '{ origins: [https://A.example] }', /is not an origin/],
    ['the origin null', '{ origins: ["null"] }', /is not an origin/],
    ['a pattern', '{ origins: ["https://*.example"] }', /is not an origin/],
    [
      'every origin with credentials',
      '{ origins: ["*"], credentials: true }',
      /cannot be combined with credentials/,
    ],
    ['no origin', '{ origins: [] }', /origins/],
    ['a field that is none', '{ origins: ["*"], exposed_headers: ["a b"] }', /exposed_headers/],
  ])('%s is refused', (_what, cors, message) => {
    expect(() => policyOf({ cors })).toThrow(message);
  });
});
