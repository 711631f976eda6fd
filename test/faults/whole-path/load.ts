import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { SignJWT } from 'jose';
import { Pool } from 'undici';

/** The decision ids of all responses that clients received, by tenant and decision. */
export interface Ledger {
  /** The received decision ids by `<tenant> <decision>`. */
  readonly received: ReadonlyMap<string, ReadonlySet<string>>;
  readonly responses: () => number;
  /** Requests that were sent and got no response: the gateway may have decided and metered such a request, or not. */
  readonly unanswered: () => number;
  /** Responses without a decision id, or with a status that the policy does not cause. */
  readonly strange: () => readonly string[];
  readonly stop: () => Promise<void>;
}

export interface LoadOptions {
  readonly gatewayUrl: string;
  readonly jwtSecret: string;
  readonly tenants: readonly string[];
  readonly requestsPerSecond: number;
}

const tickMs = 20;
const requestTimeoutMs = 20_000;
const inFlightMax = 400;

/**
 * Sends a steady open-loop load: clients send at the same rate even if the gateway is slow or dead, as long as at most
 * `inFlightMax` requests are in flight.
 */
export async function startLoad(options: LoadOptions): Promise<Ledger> {
  const tokens = await Promise.all(options.tenants.map((tenant) => signToken(tenant, options.jwtSecret)));
  const pool = new Pool(options.gatewayUrl, { connections: 32, headersTimeout: requestTimeoutMs });
  const received = new Map<string, Set<string>>();
  const strange: string[] = [];
  let [responses, unanswered, inFlight, sent] = [0, 0, 0, 0];

  async function send(turn: number): Promise<void> {
    const index = turn % options.tenants.length;
    inFlight++;
    try {
      const answer = await pool.request({
        method: 'GET',
        path: '/v1/things',
        headers: { authorization: `Bearer ${tokens[index] ?? ''}` },
      });
      const id = answer.headers['x-tollgate-decision'];
      await answer.body.dump();
      responses++;
      if (typeof id !== 'string' || ![200, 429].includes(answer.statusCode)) {
        strange.push(`${answer.statusCode} ${String(id)}`);
        return;
      }
      const key = `${options.tenants[index] ?? ''} ${answer.statusCode === 429 ? 'limited' : 'allowed'}`;
      const ids = received.get(key) ?? new Set<string>();
      received.set(key, ids.add(id));
    } catch {
      unanswered++;
    } finally {
      inFlight--;
    }
  }

  const timer = setInterval(() => {
    const due = Math.round((options.requestsPerSecond * tickMs) / 1000);
    for (let n = 0; n < due && inFlight < inFlightMax; n++) void send(sent++);
  }, tickMs);

  return {
    received,
    responses: () => responses,
    unanswered: () => unanswered,
    strange: () => strange,
    stop: async () => {
      clearInterval(timer);
      await pool.close();
    },
  };
}

/** The name of a tenant begins with its plan: `free-a`. */
export function signToken(tenant: string, secret: string): Promise<string> {
  return new SignJWT({ tenant_id: tenant, tier: tenant.split('-', 1)[0] })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('u1')
    .setIssuedAt()
    .setExpirationTime('2h')
    .sign(new TextEncoder().encode(secret));
}

/** An upstream that responds at once. */
export async function startUpstream(): Promise<{ url: string; close: () => void }> {
  const server = createServer((_request, response) => response.end('{"ok":true}'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close: () => server.close() };
}
