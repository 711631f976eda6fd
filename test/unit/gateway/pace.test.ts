import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Connection } from '../../../services/gateway/transport/connection.ts';
import { keepPace } from '../../../services/gateway/transport/pace.ts';
import type { Slowness } from '../../../services/gateway/transport/pace.ts';

const bounds = {
  ...{ requestTimeoutMs: 600_000, responseTimeoutMs: 600_000 },
  ...{ bytesPerSecondMin: 100, requestWindowMs: 4_000, responseWindowMs: 4_000 },
};
/** A quarter of a window. */
const checkMs = 1_000;

let nowMs: number;
let received: number;
let ended: Slowness[];
let pace: ReturnType<typeof keepPace>;

beforeEach(() => {
  [nowMs, received, ended] = [1_000, 0, []];
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  const socket = new Socket();
  Object.defineProperty(socket, 'bytesRead', { get: () => received });
  const request = new IncomingMessage(socket);
  const connection = new Connection(socket);
  connection.begin(request, new ServerResponse(request));
  pace = keepPace(new Set([connection]), bounds, (why) => ended.push(why));
});
afterEach(() => {
  pace.close();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** Lets time pass until the next check, in which the client sends these bytes. */
function check(bytes: number, afterMs = checkMs): void {
  nowMs += afterMs;
  received += bytes;
  vi.advanceTimersByTime(checkMs);
}

test('F6: a client that sends less than the minimum in a window is ended', () => {
  for (let count = 0; count < 12; count += 1) check(101);
  expect(ended).toEqual([]);
  for (let count = 0; count < 12 && ended.length === 0; count += 1) check(99);
  expect(ended).toEqual(['request_pace']);
});

test('F6: time in which the gateway itself stood still does not count against its clients', () => {
  check(0);
  // The bytes of the client wait in the kernel meanwhile, and this process reads them after the check.
  check(0, 60_000);
  check(6_000);
  for (let count = 0; count < 12; count += 1) check(101);
  expect(ended).toEqual([]);
});
