import type { FastifyReply } from 'fastify';

/**
 * Returns a signal that is aborted when the client disconnects before the response is sent. Queries for the response
 * can then stop.
 */
export function disconnectSignal({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
