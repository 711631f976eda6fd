import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isExempt } from '../../../../shared/policy/exempt.ts';
import { policyOf, routeOf, violationsOf } from '../text.ts';

describe('exempt addresses', () => {
  const policy = policyOf({
    exempt: '{ addresses: [10.1.0.0/16, 192.0.2.7, "2001:db8::/48", "::ffff:198.51.100.0/120"] }',
  });

  test.each([
    ['10.1.255.255', true],
    ['10.2.0.0', false],
    ['192.0.2.7', true],
    ['::ffff:192.0.2.7', true],
    ['192.0.2.8', false],
    ['2001:db8:0:ffff::1', true],
    ['2001:DB8::1', true],
    ['2001:db8:1::1', false],
    ['198.51.100.9', true],
    ['', false],
    ['unknown', false],
  ])('%s: %s', (ip, exempt) => {
    expect(isExempt(policy, null, '/', ip)).toBe(exempt);
    expect(isExempt(policy, null, '/', null)).toBe(false);
  });

  test('any IPv4 address is exempt exactly if its leading bits equal those of a block', () => {
    const address = fc.nat(0xffff_ffff);
    fc.assert(
      fc.property(address, address, fc.integer({ min: 1, max: 32 }), (block, other, prefix) => {
        const text = (bits: number): string =>
          [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join('.');
        const blocks = policyOf({ exempt: `{ addresses: ["${text(block)}/${prefix}"] }` });
        const size = 2 ** (32 - prefix);
        for (const candidate of [other, block, Math.floor(block / size) * size + (other % size)]) {
          const inBlock = Math.floor(candidate / size) === Math.floor(block / size);
          expect(isExempt(blocks, null, '/', text(candidate))).toBe(inBlock);
        }
      }),
      { numRuns: 200 },
    );
  });

  test('violations name the line and say what to write', () => {
    const text = '\n  addresses:\n    - 10.0.0.0/8\n    - 10.0.0.0/99\n    - 0.0.0.0/0\n    - "::/0"';
    expect(violationsOf({ exempt: text })).toEqual([
      'policy.yaml:8:7: exempt.addresses[1]: "10.0.0.0/99" is not an address or CIDR block; write one like 10.1.2.3 or 10.1.0.0/16',
      'policy.yaml:9:7: exempt.addresses[2]: "0.0.0.0/0" exempts every client; to try limits without refusals, set mode: shadow',
      'policy.yaml:10:7: exempt.addresses[3]: "::/0" exempts every client; to try limits without refusals, set mode: shadow',
    ]);
  });
});

describe('exempt routes', () => {
  test('the most specific route decides, exempt or not', () => {
    const policy = policyOf({
      routes: '[{ match: GET /status/deep }, { match: "* /agents/*" }]',
      exempt: '{ routes: [GET /status/**, GET /agents/ping] }',
    });
    const exempt = (method: string, path: string): boolean | undefined =>
      routeOf(policy, method, path)?.exempt;
    expect(exempt('GET', '/status')).toBe(true);
    expect(exempt('HEAD', '/status/x/y')).toBe(true);
    expect(exempt('GET', '/status/deep')).toBe(false);
    expect(exempt('POST', '/status')).toBeUndefined();
    expect(exempt('GET', '/agents/ping')).toBe(true);
    expect(exempt('POST', '/agents/ping')).toBe(false);
    expect(exempt('GET', '/agents/pong')).toBe(false);
  });

  test.each([
    ['/healthz', true],
    ['/healthz/', false],
    ['/slash/', true],
    ['/slash', false],
    ['/probes', true],
    ['/probes/', true],
    ['/probes/a/', true],
  ])('GET %s, which an upstream may serve differently with a final slash: exempt %s', (path, exempt) => {
    const policy = policyOf({ exempt: '{ routes: [GET /healthz, GET /slash/, GET /probes/**] }' });
    expect(isExempt(policy, routeOf(policy, 'GET', path), path, null)).toBe(exempt);
  });

  test.each([
    ['[GET healthz]', /exempt\.routes\[0\]: "GET healthz" must be a method, a space and a path/],
    ['[GET /a, GET /a/]', /exempt\.routes\[1\]: "GET \/a\/" is exempt\.routes\[0\] again; merge the two/],
    ['[POST /chat]', /exempt\.routes\[0\]: "POST \/chat" is routes\[0\] again; delete one/],
    ['[GET /a%2Fb]', /exempt\.routes\[0\]: "GET \/a%2Fb" matches no request/],
  ])('%s is refused', (routes, violation) => {
    expect(
      violationsOf({ routes: '[{ match: POST /chat }]', exempt: `{ routes: ${routes} }` }).join('\n'),
    ).toMatch(violation);
  });
});
