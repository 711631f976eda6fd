import { Agent, request } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';

export interface CallOptions {
  readonly port: number;
  readonly token: string;
  /** Null: a response that is not a stream. */
  readonly stream: { readonly chunks: number; readonly pauseMs: number } | null;
}

/** Milliseconds of each call until its first byte, and of each chunk from the upstream to the client. */
export interface Timings {
  readonly firstByteMs: number[];
  readonly chunkMs: number[];
  calls: number;
  /** Time until the last response. */
  seconds: number;
}

/** Sends calls over `connections` connections for `seconds`: each connection sends its next call after a response. */
export async function callInLoop(
  options: CallOptions,
  connections: number,
  seconds: number,
): Promise<Timings> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const timings: Timings = { firstByteMs: [], chunkMs: [], calls: 0, seconds: 0 };
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  const loop = async (): Promise<void> => {
    while (performance.now() < endMs) await callOnce(agent, options, timings);
  };
  await Promise.all(Array.from({ length: connections }, loop));
  timings.seconds = (performance.now() - startMs) / 1000;
  agent.destroy();
  return timings;
}

async function callOnce(agent: Agent, options: CallOptions, timings: Timings): Promise<void> {
  const sentAtMs = performance.now();
  const call = send(agent, options, {});
  const response = await responseOf(call);
  let isFirst = true;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (isFirst) timings.firstByteMs.push(performance.now() - sentAtMs);
    isFirst = false;
    if (options.stream === null) continue;
    const now = process.hrtime.bigint();
    for (const [, sentAt = ''] of chunk.toString('latin1').matchAll(/"sent_at":(\d+)/g))
      timings.chunkMs.push(Number(now - BigInt(sentAt)) / 1e6);
  }
  timings.calls += 1;
}

/** Opens streams that stay open after their first chunks. Resolves when each has sent its chunks. */
export async function holdStreams(options: CallOptions, count: number): Promise<{ close(): void }> {
  const agent = new Agent({ keepAlive: false });
  const calls: ClientRequest[] = [];
  const openAtOnce = 50;
  for (let opened = 0; opened < count; opened += openAtOnce) {
    const next = Array.from({ length: Math.min(openAtOnce, count - opened) }, () =>
      send(agent, options, { 'x-hold': '1' }),
    );
    calls.push(...next);
    await Promise.all(next.map(async (call) => untilChunks(await responseOf(call), options)));
  }
  return {
    close: () => {
      for (const call of calls) call.on('error', () => undefined).destroy();
    },
  };
}

function untilChunks(response: IncomingMessage, { stream }: CallOptions): Promise<void> {
  return new Promise((resolve) => {
    let chunks = 0;
    response.on('error', () => undefined);
    response.on('data', (bytes: Buffer) => {
      chunks += bytes.toString('latin1').split('"sent_at"').length - 1;
      if (chunks >= (stream?.chunks ?? 0)) resolve();
    });
  });
}

function send(
  agent: Agent,
  { port, token, stream }: CallOptions,
  more: Record<string, string>,
): ClientRequest {
  const call = request({
    agent,
    ...{ host: '127.0.0.1', port, method: 'POST', path: '/v1/chat/completions' },
    headers: {
      ...{ authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(stream === null ? {} : { 'x-chunks': String(stream.chunks), 'x-pause-ms': String(stream.pauseMs) }),
      ...more,
    },
  });
  const messages = [{ role: 'user', content: 'How is the usage of an API metered?' }];
  call.end(JSON.stringify({ model: 'small-1', max_tokens: 100, stream: stream !== null, messages }));
  return call;
}

function responseOf(call: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    call.once('error', reject);
    call.once('response', (response) => {
      if (response.statusCode === 200) resolve(response);
      else
        reject(
          new Error(`A call was answered with ${response.statusCode ?? 0}, which makes the figures invalid.`),
        );
    });
  });
}
