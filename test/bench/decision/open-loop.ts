// An open loop in its own process: node open-loop.ts <port> <requests a second> <seconds> <first key> <keys>. Prints
// microseconds as JSON. Each request is sent when it is due, regardless of earlier responses, and timed from then.
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Keys } from './contenders.ts';

export interface Latencies {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly count: number;
}

const socketCount = 32;
const bodyEnd = '{"hello":"world"}';
/** Longest time between two ticks of a timer of one millisecond, if this process is not late. */
const tickMs = 1.2;

interface Connection {
  readonly socket: Socket;
  readonly dueAt: number[];
}

async function run(port: number, rate: number, seconds: number, keys: Keys): Promise<Latencies> {
  const took: number[] = [];
  const connections: Connection[] = [];
  for (let index = 0; index < socketCount; index += 1) connections.push(await open(port, took));
  const startedAt = performance.now();
  const warmUpMs = 1000;
  let sent = 0;
  await new Promise<void>((resolve) => {
    const timer = setInterval(() => {
      const now = performance.now();
      const due = Math.floor(((now - startedAt) * rate) / 1000);
      for (; sent < due; sent += 1) {
        const dueMs = startedAt + (sent * 1000) / rate;
        // The timer ticks about once a millisecond, so a request is due at its tick. A later tick counts as latency.
        const fromMs = now - Math.max(0, now - dueMs - tickMs);
        send(
          connections[sent % socketCount]!,
          keys.first + (sent % keys.count),
          now - startedAt > warmUpMs ? fromMs : NaN,
        );
      }
      if (now - startedAt < warmUpMs + seconds * 1000) return;
      clearInterval(timer);
      setTimeout(resolve, 500);
    }, 1);
  });
  for (const { socket } of connections) socket.destroy();
  took.sort((a, b) => a - b);
  const at = (share: number): number => Math.round((took[Math.floor(took.length * share)] ?? NaN) * 1000);
  return { p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), count: took.length };
}

function open(port: number, took: number[]): Promise<Connection> {
  return new Promise((resolve) => {
    const dueAt: number[] = [];
    let unread = '';
    const socket = connect(port, '127.0.0.1', () => resolve({ socket, dueAt }));
    socket.setNoDelay(true);
    socket.on('data', (data) => {
      const now = performance.now();
      unread += data.toString('latin1');
      for (let end = unread.indexOf(bodyEnd); end !== -1; end = unread.indexOf(bodyEnd)) {
        unread = unread.slice(end + bodyEnd.length);
        const due = dueAt.shift() ?? NaN;
        if (!Number.isNaN(due)) took.push(now - due);
      }
    });
  });
}

function send({ socket, dueAt }: Connection, key: number, dueMs: number): void {
  dueAt.push(dueMs);
  socket.write(`GET / HTTP/1.1\r\nhost: bench\r\nx-api-key: tgk_${key}\r\n\r\n`);
}

const [port = 0, rate = 0, seconds = 0, first = 0, count = 0] = process.argv.slice(2).map(Number);
if (count > 0) process.stdout.write(JSON.stringify(await run(port, rate, seconds, { first, count })));
