import type { FastifyReply } from 'fastify';

/** Signal that is aborted when the client disconnects before its response, so that its queries are cancelled. */
export function disconnectSignal({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
