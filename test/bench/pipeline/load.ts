import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { SignJWT } from 'jose';

export interface Load {
  /** Number of responses so far. Each one is metered, regardless of its status. */
  responses(): number;
  /** Number of responses by status, without those with status 200. */
  others(): ReadonlyMap<string, number>;
  /** Stops sending and waits a bounded time for pending responses. Returns the number of requests without a response. */
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
/** Above this number of pending requests, scheduled requests are skipped. */
const inFlightMax = 400;

/**
 * An open loop over raw sockets, which leaves the CPU to the processes that are measured. Each request is sent at its
 * scheduled time or one tick later, regardless of earlier responses.
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
  // A status line may be split between two chunks, so an incomplete line is kept for the next chunk.
  let incompleteLine = '';
  socket.on('data', (data) => {
    const text = incompleteLine + data.toString('latin1');
    const lineEnd = text.lastIndexOf('\n') + 1;
    count(text.slice(0, lineEnd));
    incompleteLine = text.slice(lineEnd);
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
