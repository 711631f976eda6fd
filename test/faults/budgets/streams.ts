import { Agent, request } from 'undici';
import { eventually } from '../../support/servers.ts';
import { seeded } from '../whole-path/faults.ts';
import { signToken } from '../whole-path/load.ts';
import { callBody } from './installation.ts';
import type { BudgetInstallation } from './installation.ts';

/** A call as its client saw it. Times are milliseconds of `performance.now()`. */
export interface ClientCall {
  readonly outcome: 'admitted' | 'refused' | 'failed';
  readonly decision: string;
  readonly gateway: number;
  /** When the head of the response arrived: the reservation was charged before. */
  readonly headAtMs: number;
  /** When the whole response had arrived: the reservation is settled later. Infinite if the response was broken off. */
  endAtMs: number;
}

export interface Streams {
  readonly calls: readonly ClientCall[];
  admitted(): number;
  /** Sends the call of each client that was refused again, once. */
  repeatRefused(): void;
  /** No request is open. */
  ended(): boolean;
  close(): Promise<void>;
}

/**
 * All clients begin their calls at the same time, in turn at each gateway, with usage by the seed. Only the first two
 * calls at the second gateway begin before the others, so that this gateway certainly has calls of the budget.
 */
export async function startStreams(
  { gateways, jwtSecret }: BudgetInstallation,
  { tenant, count, seed }: { readonly tenant: string; readonly count: number; readonly seed: number },
): Promise<Streams> {
  const authorization = `Bearer ${await signToken(tenant, jwtSecret)}`;
  const random = seeded(seed);
  const dispatcher = new Agent({ connections: null, headersTimeout: 60_000, bodyTimeout: 60_000 });
  const calls: ClientCall[] = [];
  const clients = Array.from({ length: count }, (_, index) => ({
    gateway: index % 2,
    switches: usageOf(random),
  }));
  type Client = (typeof clients)[number];
  let refused: Client[] = [];
  let open = 0;

  async function send(client: Client): Promise<void> {
    const { gateway, switches } = client;
    open += 1;
    try {
      const { statusCode, headers, body } = await request(
        `${gateways[gateway]?.urls.gateway ?? ''}/v1/chat/completions`,
        {
          dispatcher,
          method: 'POST',
          headers: { authorization, 'content-type': 'application/json', 'x-sample': switches },
          body: callBody,
        },
      );
      const outcome = statusCode === 200 ? 'admitted' : statusCode === 429 ? 'refused' : 'failed';
      const decision = String(headers['x-tollgate-decision']);
      const call = { outcome, decision, gateway, headAtMs: performance.now(), endAtMs: Infinity } as const;
      const entry: ClientCall = { ...call };
      calls.push(entry);
      if (outcome === 'refused') refused.push(client);
      const text = await body.text();
      if (text.endsWith('data: [DONE]\n\n') || outcome !== 'admitted') entry.endAtMs = performance.now();
    } catch {
      // The gateway was killed: the call has no response, or an incomplete one.
    } finally {
      open -= 1;
    }
  }

  const early = clients.filter(({ gateway }) => gateway === 1).slice(0, 2);
  for (const client of early) void send(client);
  await eventually(() => calls.length === early.length, { intervalMs: 2 });
  for (const client of clients) if (!early.includes(client)) void send(client);
  return {
    calls,
    admitted: () => calls.filter(({ outcome }) => outcome === 'admitted').length,
    repeatRefused: () => {
      const again = refused;
      refused = [];
      for (const client of again) void send(client);
    },
    ended: () => open === 0,
    close: () => dispatcher.destroy(),
  };
}

/**
 * The usage of a call. Three of four calls use all of their output, and the input is up to four times the estimate, so
 * that many calls use more than they reserve.
 */
function usageOf(random: () => number): string {
  const output = random() < 0.75 ? 60 : 30 + Math.floor(random() * 30);
  const input = 20 + Math.floor(random() * 150);
  const cached = Math.floor(random() * random() * input);
  return `tokens=${output}, input=${input}, cached=${cached}, pause=${60 + Math.floor(random() * 30)}`;
}
