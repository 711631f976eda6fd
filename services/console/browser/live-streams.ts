import { Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { Gauge } from 'prom-client';
import type { Registry } from '../../../shared/runtime/http/ops.ts';
import { sendProblem } from '../../../shared/runtime/http/problem.ts';
import type { Html } from '../components/html.ts';

/**
 * Streams of a part of a page (server-sent events). The server renders the part again several times a second, and sends
 * it when it has changed.
 */
export interface LiveStreams {
  /**
   * Opens a stream. `owner` is the tenant or the operator, whose number of streams is bounded. `render` returns null
   * when the session has ended: the page is then loaded again.
   */
  open(reply: FastifyReply, owner: string, render: () => Promise<Html | null>): FastifyReply;
}

const renderIntervalMs = 250;
const heartbeatIntervalMs = 15_000;
const streamsOfOwnerMax = 20;
const streamsMax = 2_000;

export function createLiveStreams(app: FastifyInstance, registry: Registry): LiveStreams {
  const closing = new AbortController();
  const byOwner = new Map<string, number>();
  let streams = 0;
  new Gauge({
    name: 'tollgate_console_live_streams',
    help: 'Open pages of the console that receive live figures.',
    registers: [registry],
    collect() {
      this.set(streams);
    },
  });
  // A server closes only after its responses are complete.
  app.addHook('preClose', (done) => {
    closing.abort();
    done();
  });
  return {
    open(reply, owner, render) {
      const own = byOwner.get(owner) ?? 0;
      if (own >= streamsOfOwnerMax || streams >= streamsMax)
        return sendProblem(
          reply,
          429,
          'Too many live pages',
          'Close some pages, or reload this page by hand.',
        );
      byOwner.set(owner, own + 1);
      streams += 1;
      const left = new AbortController();
      reply.raw.once('close', () => {
        left.abort();
        streams -= 1;
        const others = (byOwner.get(owner) ?? 1) - 1;
        if (others === 0) byOwner.delete(owner);
        else byOwner.set(owner, others);
      });
      return reply
        .header('cache-control', 'no-store')
        .header('x-accel-buffering', 'no')
        .type('text/event-stream')
        .send(Readable.from(messages(render, AbortSignal.any([closing.signal, left.signal]))));
    },
  };
}

async function* messages(render: () => Promise<Html | null>, signal: AbortSignal): AsyncGenerator<string> {
  let last = '';
  let sentAtMs = performance.now();
  while (!signal.aborted) {
    const part = await render();
    if (part === null) {
      yield 'event: session-ended\ndata: -\n\n';
      return;
    }
    const changed = part.markup !== last;
    if (changed || performance.now() - sentAtMs > heartbeatIntervalMs) {
      yield changed ? messageOf((last = part.markup)) : ': heartbeat\n\n';
      sentAtMs = performance.now();
    }
    await wait(renderIntervalMs, undefined, { signal }).catch(() => undefined);
  }
}

/** An event whose data is the part. White space at the ends of lines has no meaning in a live part. */
function messageOf(markup: string): string {
  const lines = markup
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  return `data: ${lines.join('\ndata: ')}\n\n`;
}
