// An open loop in its own process: node open-loop.ts <port> <requests a second> <seconds>. Prints microseconds as JSON.
// Each request is sent at its scheduled time, regardless of earlier responses, and timed from when it was sent.
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export interface Latencies {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly count: number;
}

const socketCount = 32;
const bodyEnd = '{"hello":"world"}';

interface Connection {
  readonly socket: Socket;
  readonly dueAt: number[];
}

async function run(port: number, rate: number, seconds: number): Promise<Latencies> {
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
      // Measured from the moment of sending, so that a late timer of this process does not count against the server.
      for (; sent < due; sent += 1)
        send(connections[sent % socketCount]!, sent, now - startedAt > warmUpMs ? now : NaN);
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

function send({ socket, dueAt }: Connection, index: number, dueMs: number): void {
  dueAt.push(dueMs);
  socket.write(`GET / HTTP/1.1\r\nhost: bench\r\nx-api-key: tgk_${index % 100}\r\n\r\n`);
}

const [port, rate, seconds] = process.argv.slice(2).map(Number);
if (port !== undefined && rate !== undefined && seconds !== undefined) {
  process.stdout.write(JSON.stringify(await run(port, rate, seconds)));
}
