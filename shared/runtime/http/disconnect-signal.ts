import type { FastifyReply } from 'fastify';

/** Aborted when the client leaves before it is answered: nobody reads what is still being looked up. */
export function disconnectSignal({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  raw.once('close', () => {
    if (!raw.writableFinished) controller.abort();
  });
  return controller.signal;
}
