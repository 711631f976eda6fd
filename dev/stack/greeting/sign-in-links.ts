import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { messageOf } from '../../../shared/runtime/errors.ts';
import { freePort } from '../../servers/free-port.ts';

export interface SignInLinks {
  /** Link to the portal of a tenant, signed in. It has no expiry: each use creates a portal link. */
  portal(tenantId: string): string;
  /** Link to the operator console, signed in. */
  readonly operator: string;
  close(): Promise<void>;
}

export interface SignInLinksOptions {
  readonly adminUrl: string;
  readonly consoleUrl: string;
  readonly adminToken: string;
  /** Unguessable part of the paths. */
  readonly key: string;
}

const preferredPort = 8085;
const callTimeoutMs = 10_000;
/** Name under which the history shows changes of an operator who came by the link. */
const operatorName = 'local operator';

/**
 * A server on loopback that signs a browser in and sends it to the pages of the console. It belongs to `npm start`
 * only: each user who has a link has the rights of an operator.
 */
export async function startSignInLinks(options: SignInLinksOptions): Promise<SignInLinks> {
  const port = await freePort(preferredPort);
  const base = `/${options.key}`;
  const server = createServer((request, response) => {
    void respond(request, response).catch((error: unknown) => {
      response.writeHead(503, { 'content-type': 'text/plain' }).end(`${messageOf(error)}\n`);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  server.unref();
  const origin = `http://127.0.0.1:${port}${base}`;
  return {
    portal: (tenantId) => `${origin}/portal/${encodeURIComponent(tenantId)}`,
    operator: `${origin}/operator`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };

  async function respond({ method, url = '/' }: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = url.split('?')[0] ?? '';
    const tenantId = path.startsWith(`${base}/portal/`) ? path.slice(`${base}/portal/`.length) : null;
    response.setHeader('cache-control', 'no-store');
    response.setHeader('referrer-policy', 'no-referrer');
    if (method !== 'GET') response.writeHead(405).end();
    else if (tenantId !== null) redirect(response, await portalUrl(decodeURIComponent(tenantId)));
    else if (path === `${base}/operator`) await signOperatorIn(response);
    else response.writeHead(404, { 'content-type': 'text/plain' }).end('no such link\n');
  }

  async function portalUrl(tenantId: string): Promise<string> {
    const answer = await fetch(`${options.adminUrl}/admin/v1/portal-links`, {
      method: 'POST',
      headers: { authorization: `Bearer ${options.adminToken}`, 'content-type': 'application/json' },
      body: JSON.stringify({ tenant_id: tenantId }),
      signal: AbortSignal.timeout(callTimeoutMs),
    });
    if (!answer.ok) throw new Error(`the admin API answered ${answer.status}: ${await answer.text()}`);
    return ((await answer.json()) as { readonly url: string }).url;
  }

  /** Browsers send a cookie to every port of a host, so the cookie of the console can be set here. */
  async function signOperatorIn(response: ServerResponse): Promise<void> {
    const answer = await fetch(`${options.consoleUrl}/operator/sign-in`, {
      method: 'POST',
      body: new URLSearchParams({ name: operatorName, token: options.adminToken }),
      redirect: 'manual',
      signal: AbortSignal.timeout(callTimeoutMs),
    });
    await answer.arrayBuffer();
    if (answer.status !== 303) throw new Error(`the console answered ${answer.status}`);
    response.setHeader('set-cookie', answer.headers.getSetCookie());
    redirect(response, `${options.consoleUrl}/operator/tenants`);
  }
}

function redirect(response: ServerResponse, location: string): void {
  response.writeHead(303, { location }).end();
}
