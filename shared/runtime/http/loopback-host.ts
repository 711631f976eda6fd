import { isIP } from 'node:net';
import type { FastifyInstance } from 'fastify';

/**
 * Refuses requests to a loopback address whose Host header has another host name. A web page can point its own name at
 * 127.0.0.1 (DNS rebinding) and then read the responses of this machine as if they came from its own site. Addresses,
 * `localhost` and names without a dot are accepted, because an attacker cannot register them. Listeners on other
 * addresses are not checked: only the operator has the list of their names.
 */
export function refuseForeignHosts(app: FastifyInstance): void {
  app.addHook('onRequest', (request, reply, next) => {
    if (!isLoopback(request.socket.localAddress) || isLocalName(request.headers.host)) {
      next();
      return;
    }
    void reply.code(421).type('application/problem+json').send({
      type: 'about:blank',
      title: 'Misdirected request',
      status: 421,
      detail: 'This listener is on a loopback address: send its address or localhost as Host.',
    });
  });
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(127\.|::1$|::ffff:127\.)/.test(address);
}

/** Exported for its test. An HTTP/1.0 request has no Host header. */
export function isLocalName(host: string | undefined): boolean {
  if (host === undefined || host === '') return true;
  const bracketed = /^\[([^\]]*)\](:\d*)?$/.exec(host)?.[1];
  if (bracketed !== undefined) return isIP(bracketed) === 6;
  const name = host.replace(/:\d*$/, '').toLowerCase();
  return isIP(name) === 4 || /^([a-z0-9-]+\.)*localhost$/.test(name) || /^[a-z0-9_-]+$/.test(name);
}
