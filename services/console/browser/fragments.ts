import type { FastifyReply, FastifyRequest } from 'fastify';

/** True if a script of a page requests a part of a page, which replaces the part that the page shows. */
export function isFragmentRequest({ headers }: FastifyRequest): boolean {
  return headers['hx-request'] === 'true';
}

/** Redirects the browser. A script must not follow a redirect by itself, so it gets the address in a header. */
export function redirectBrowser(request: FastifyRequest, reply: FastifyReply, path: string): FastifyReply {
  if (isFragmentRequest(request)) return reply.code(401).header('hx-redirect', path).send();
  return reply.redirect(path, 303);
}
