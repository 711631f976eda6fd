export const contenders = [
  'bare',
  'tollgate',
  'tollgate without leases',
  'tollgate exact',
  'tollgate hot tenant',
  'fastify-rate-limit',
  'flexible union',
  'upstash',
  'bare express',
  'express-rate-limit',
  'bare again',
] as const;

export type Contender = (typeof contenders)[number];

export const described: Readonly<Record<Contender, string>> = {
  bare: 'bare Fastify',
  tollgate: 'Tollgate’s plugin, three windows',
  'tollgate without leases': 'the same with `lease: false`: each check is decided by Redis',
  'tollgate exact': 'Tollgate’s plugin, three windows, two of them exact (limit 1,000)',
  'tollgate hot tenant': 'Tollgate’s plugin, three windows, one tenant with limit 1,000,000/min, leased',
  'fastify-rate-limit': '@fastify/rate-limit, one window',
  'flexible union': 'rate-limiter-flexible, union of three',
  upstash: '@upstash/ratelimit, one sliding window',
  'bare express': 'bare Express',
  'express-rate-limit': 'express-rate-limit on Express, one window',
  'bare again': 'bare Fastify, again (noise)',
};

/**
 * A number of requests a second that no contender answers on any machine. The limits of all contenders are derived from it, so that
 * no request is refused, no matter how fast the machine is.
 */
const unreachablePerSecond = 1_000_000;
/** The limit of a window of a minute or longer: a run of all contenders sends fewer requests. */
export const unreachableLimit = unreachablePerSecond * 1000;

/** Low limits are counted exactly, with one entry for each millisecond, so these windows are short and have many tenants. */
export const exact = {
  limits: [1000, 1000],
  windows: ['2s', '3s'],
  tenants: (unreachablePerSecond * 3) / 1000,
} as const;

/** Each measurement has a tenant of its own and takes less than 5 s: no process answers 200,000 requests a second on one core. */
export const hot = { limits: [1_000_000, unreachableLimit], windows: ['1m', '1h'] } as const;

/** Tenants whose requests a load sends in turn: `count` API keys `tgk_<index>`, the first with index `first`. */
export interface Keys {
  readonly first: number;
  readonly count: number;
}

/** The API keys of a closed loop. `measurement` counts the measurements of one process, from 0. */
export function keysOf(contender: Contender, measurement: number): Keys {
  if (contender === 'tollgate hot tenant') return { first: measurement, count: 1 };
  return { first: 0, count: contender === 'tollgate exact' ? exact.tenants : 100 };
}

/** The bare server that a contender is compared with. */
export function bareOf(contender: Contender): Contender {
  return contender.includes('express') ? 'bare express' : 'bare';
}

export function isContender(name: string): name is Contender {
  return (contenders as readonly string[]).includes(name);
}
