import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import Provider from 'oidc-provider';

export interface TestProvider {
  readonly issuer: string;
  /** Claims of each account by its id. A test may change them. */
  readonly accounts: Map<string, Readonly<Record<string, unknown>>>;
  stop(): Promise<void>;
}

/**
 * The certified provider `oidc-provider`. Its issuer is `localhost`, and the console is on `127.0.0.1`: for a browser these
 * are two sites, as in an installation.
 */
export async function startProvider(redirectUris: () => string[]): Promise<TestProvider> {
  const port = await freePort();
  const issuer = `http://localhost:${port}`;
  const accounts = new Map<string, Readonly<Record<string, unknown>>>();
  const client = (id: string) => ({
    client_id: id,
    client_secret: `secret of ${id}`,
    redirect_uris: redirectUris(),
    post_logout_redirect_uris: redirectUris().map((uri) => new URL('/operator', uri).href),
    token_endpoint_auth_method: 'client_secret_post' as const,
  });
  const provider = new Provider(issuer, {
    clients: [client('console'), client('another-program')],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['groups'] },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: () => ({ sub: id, ...accounts.get(id) }),
    }),
    cookies: { keys: ['a key of a test'] },
    pkce: { required: () => true },
  });
  const server: Server = provider.listen(port, 'localhost');
  await once(server, 'listening');
  return {
    issuer,
    accounts,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, 'localhost');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
