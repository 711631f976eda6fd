import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { SignJWT } from 'jose';

export interface Load {
  /** Answers so far; each one is metered, whatever its status. */
  responses(): number;
  /** How many of them had which status other than 200. */
  others(): ReadonlyMap<string, number>;
  /** Sends nothing more and waits for what is under way, for a bounded time. Answers how many had no answer. */
  stop(): Promise<number>;
}

export interface LoadOptions {
  readonly url: string;
  readonly jwtSecret: string;
  readonly tenants: readonly string[];
  readonly requestsPerSecond: number;
}

const connections = 32;
const tickMs = 5;
const stopTimeoutMs = 10_000;
/** A gateway this far behind is asked no faster. */
const inFlightMax = 400;

/**
 * An open loop over bare sockets, cheap enough to leave the processor to what it measures: requests leave when they
 * are due, or a tick later, whether or not earlier ones were answered.
 */
export async function startLoad({ url, jwtSecret, tenants, requestsPerSecond }: LoadOptions): Promise<Load> {
  const tokens = await Promise.all(tenants.map((tenant) => signToken(tenant, jwtSecret)));
  const requests = tokens.map(
    (token) => `GET /v1/things HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer ${token}\r\n\r\n`,
  );
  let [sent, responses] = [0, 0];
  const others = new Map<string, number>();
  const count = (data: string): void => {
    for (const [, status = ''] of data.matchAll(/HTTP\/1\.1 (\d{3})/g)) {
      responses += 1;
      if (status !== '200') others.set(status, (others.get(status) ?? 0) + 1);
    }
  };
  const sockets = await Promise.all(Array.from({ length: connections }, () => open(new URL(url), count)));
  const startMs = performance.now();
  let skipped = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - startMs) * requestsPerSecond) / 1000);
    for (; sent + skipped < due; sent += 1) {
      if (sent - responses >= inFlightMax) {
        skipped = due - sent;
        return;
      }
      sockets[sent % connections]?.write(requests[sent % requests.length] ?? '');
    }
  }, tickMs);
  return {
    responses: () => responses,
    others: () => others,
    async stop() {
      clearInterval(timer);
      const deadlineMs = performance.now() + stopTimeoutMs;
      while (responses < sent && performance.now() < deadlineMs) {
        await new Promise((resolve) => setTimeout(resolve, tickMs));
      }
      for (const socket of sockets) socket.destroy();
      return sent - responses;
    },
  };
}

async function open({ hostname, port }: URL, count: (data: string) => void): Promise<Socket> {
  const socket = connect(Number(port), hostname);
  socket.setNoDelay(true);
  await once(socket, 'connect');
  // The head of an answer may come in two pieces: what might be the beginning of one waits for the rest.
  let rest = '';
  socket.on('data', (data) => {
    const text = rest + data.toString('latin1');
    const lineEnd = text.lastIndexOf('\n') + 1;
    count(text.slice(0, lineEnd));
    rest = text.slice(lineEnd);
  });
  return socket;
}

function signToken(tenant: string, secret: string): Promise<string> {
  return new SignJWT({ tenant_id: tenant, tier: 'enterprise' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('u1')
    .setIssuedAt()
    .setExpirationTime('2h')
    .sign(new TextEncoder().encode(secret));
}
