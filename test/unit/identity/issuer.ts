import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';
import type { CryptoKey, JWK, JWTHeaderParameters } from 'jose';

/** How the issuer responds: correctly, or with a fault. */
export type Behaviour =
  'ok' | 'fails' | 'hangs' | 'drips' | 'huge' | 'garbage' | 'empty' | 'resets' | 'redirects';

/** An issuer of tokens, with its JWKS on a real server on loopback. */
export interface Issuer {
  readonly url: string;
  /** Number of requests for its keys. */
  requests(): number;
  behave(behaviour: Behaviour): void;
  /** Creates a key pair and publishes the public key, unless the options prevent that. */
  addKey(kid: string, options?: { readonly published?: boolean; readonly alg?: string }): Promise<void>;
  publish(kid: string): void;
  withdraw(kid: string): void;
  sign(kid: string, claims: object, header?: Partial<JWTHeaderParameters>): Promise<string>;
  close(): Promise<void>;
}

interface Pair {
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
  readonly alg: string;
}

export async function startIssuer(): Promise<Issuer> {
  const pairs = new Map<string, Pair>();
  const published = new Set<string>();
  let behaviour: Behaviour = 'ok';
  let requests = 0;
  const server = createServer((_request, response) => {
    requests += 1;
    answer(
      response,
      behaviour,
      [...published].map((kid) => pairs.get(kid)?.jwk ?? {}),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`,
    requests: () => requests,
    behave: (now) => {
      behaviour = now;
      if (now === 'resets') server.closeAllConnections();
    },
    async addKey(kid, { published: isPublished = true, alg = 'ES256' } = {}) {
      const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
      pairs.set(kid, { privateKey, alg, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } });
      if (isPublished) published.add(kid);
    },
    publish: (kid) => void published.add(kid),
    withdraw: (kid) => void published.delete(kid),
    sign(kid, claims, header = {}) {
      const pair = pairs.get(kid);
      if (pair === undefined) throw new Error(`there is no key ${kid}`);
      return new SignJWT({ ...claims })
        .setProtectedHeader({ alg: pair.alg, kid, ...header })
        .sign(pair.privateKey);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: ServerResponse, behaviour: Behaviour, keys: readonly JWK[]): void {
  const good = JSON.stringify({ keys });
  switch (behaviour) {
    case 'ok':
      response.end(good);
      return;
    case 'fails':
      response.writeHead(503).end('later');
      return;
    case 'hangs':
      return;
    case 'drips': {
      response.write('{"keys":[');
      const timer = setInterval(() => response.write(' '), 50);
      response.on('close', () => clearInterval(timer));
      return;
    }
    case 'huge':
      response.end(`{"keys":[],"padding":"${'x'.repeat(4_000_000)}"}`);
      return;
    case 'garbage':
      response.end('<html>Please sign in</html>');
      return;
    case 'empty':
      response.end('{"keys":[]}');
      return;
    case 'resets':
      response.destroy();
      return;
    case 'redirects':
      response.writeHead(302, { location: 'http://127.0.0.1:1/keys' }).end();
  }
}
