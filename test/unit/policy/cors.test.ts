import { describe, expect, test } from 'vitest';
import { policyOf } from './text.ts';

describe('F3: the CORS policy', () => {
  test('has no page read anything by default, and bounds preflights all the same', () => {
    const { cors, preflight } = policyOf();
    expect(cors).toBeNull();
    expect(preflight).toMatchObject({ name: 'preflight', per: ['ip'], limit: 600, windowMs: 60_000 });
  });

  test('exposes the limit headers, and others by their name in lower case, once', () => {
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
    ['capitals in an origin', '{ origins: [https://A.example] }', /is not an origin/],
    ['the origin null', '{ origins: ["null"] }', /is not an origin/],
    ['a pattern', '{ origins: ["https://*.example"] }', /is not an origin/],
    [
      'every origin with credentials',
      '{ origins: ["*"], credentials: true }',
      /does not go with credentials/,
    ],
    ['no origin', '{ origins: [] }', /origins/],
    ['a field that is none', '{ origins: ["*"], exposed_headers: ["a b"] }', /exposed_headers/],
  ])('%s is refused', (_what, cors, message) => {
    expect(() => policyOf({ cors })).toThrow(message);
  });
});
