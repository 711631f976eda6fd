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

export function isContender(name: string): name is Contender {
  return (contenders as readonly string[]).includes(name);
}
