import { Counter, Gauge } from 'prom-client';
import type { Registry } from '../runtime/http/ops.ts';
import { startAtZero } from '../runtime/zero-counters.ts';

export interface IdentityMetrics {
  readonly fetches: Counter<'result'>;
  readonly verifications: Counter<'result'>;
}

export function createIdentityMetrics(registry: Registry): IdentityMetrics {
  const registers = [registry];
  return {
    fetches: startAtZero(
      new Counter({
        name: 'tollgate_jwks_fetches_total',
        help: 'Fetches of the public keys, by result: ok, or why the previous keys stay in use (unreachable, timeout, status, too_large, invalid).',
        labelNames: ['result'],
        registers,
      }),
      { result: ['ok', 'unreachable', 'timeout', 'status', 'too_large', 'invalid'] },
    ),
    verifications: startAtZero(
      new Counter({
        name: 'tollgate_token_verifications_total',
        help: 'Verifications of tokens that were not in the cache, by result: valid, invalid, or postponed (not verified, because too many bad credentials came from the address).',
        labelNames: ['result'],
        registers,
      }),
      { result: ['valid', 'invalid', 'postponed'] },
    ),
  };
}

export interface KeyFigures {
  ageSeconds(): number;
  size(): number;
}

/** `current` returns null if the policy names no JWKS. */
export function registerKeyGauges(registry: Registry, current: () => KeyFigures | null): void {
  new Gauge({
    name: 'tollgate_jwks_age_seconds',
    help: 'Seconds since the public keys that verify tokens were last fetched; 0 if the policy names no jwks_url.',
    registers: [registry],
    collect() {
      this.set(current()?.ageSeconds() ?? 0);
    },
  });
  new Gauge({
    name: 'tollgate_jwks_keys',
    help: 'Public keys that verify tokens now.',
    registers: [registry],
    collect() {
      this.set(current()?.size() ?? 0);
    },
  });
}
