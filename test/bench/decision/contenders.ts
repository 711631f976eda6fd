export const contenders = [
  'bare',
  'tollgate',
  'tollgate exact',
  'tollgate leased',
  'limiter only',
  'fastify-rate-limit',
  'flexible union',
  'bare again',
] as const;

export type Contender = (typeof contenders)[number];

export const described: Readonly<Record<Contender, string>> = {
  bare: 'bare Fastify',
  tollgate: 'Tollgate’s plugin, three windows',
  'tollgate exact': 'Tollgate’s plugin, three windows, two of them exact (limit 1,000)',
  'tollgate leased': 'Tollgate’s plugin, three windows, one busy tenant, whose units are leased',
  'limiter only': 'a hook around `limiter.check`, three windows',
  'fastify-rate-limit': '@fastify/rate-limit, one window',
  'flexible union': 'rate-limiter-flexible, union of three',
  'bare again': 'bare Fastify, again (noise)',
};

/**
 * A number of requests a second, and of a run, that no contender answers on any machine. The limits of all contenders are derived
 * from these numbers, so that no request is refused, no matter how fast the machine is.
 */
const unreachablePerSecond = 1_000_000;
export const unreachableLimit = 1_000_000_000;

/** Low limits are counted exactly, with one entry for each millisecond, so these windows are short and have many tenants. */
export const exact = {
  limit: 1000,
  windows: ['2s', '3s'],
  tenants: (unreachablePerSecond * 3) / 1000,
} as const;

/** Number of tenants among which a closed loop alternates, each with an API key. */
export function tenantsOf(contender: Contender): number {
  return contender === 'tollgate exact' ? exact.tenants : 100;
}

export function isContender(name: string): name is Contender {
  return (contenders as readonly string[]).includes(name);
}
