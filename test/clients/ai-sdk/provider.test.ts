// Goal: the gateway can stand before the API of a provider: over TLS, by host name, with the provider's key, which callers
// never see.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runPolicy } from '../../support/policy-run.ts';
import type { PolicyRun } from '../../support/policy-run.ts';
import { startSampleApi } from '../../support/sample-api.ts';
import type { SampleApi } from '../../support/sample-api.ts';
import { uniqueName } from '../../support/servers.ts';
import { textApis, uniqueModel } from './clients.ts';

const providerKey = 'sk-of-the-operator';
let sample: SampleApi;
let provider: Server;
let run: PolicyRun;
let dir: string;
const seen: IncomingHttpHeaders[] = [];

beforeAll(async () => {
  sample = await startSampleApi();
  dir = await mkdtemp(join(tmpdir(), 'tollgate-provider-'));
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
  const files = ['-keyout', key, '-out', cert];
  await promisify(execFile)('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    ...files,
    ...subject,
  ]);
  provider = createServer({ key: await readFile(key), cert: await readFile(cert) }, (request, response) => {
    seen.push(request.headers);
    const { method = 'GET', url = '/', headers } = request;
    const forwarded = httpRequest(sample.url + url, { method, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    request.pipe(forwarded);
  });
  provider.listen(0, 'localhost');
  await once(provider, 'listening');
  run = await runPolicy('ai-budgets', {
    services: ['gateway'],
    env: {
      NODE_EXTRA_CA_CERTS: cert,
      TOLLGATE_UPSTREAM: `https://localhost:${(provider.address() as AddressInfo).port}`,
      TOLLGATE_UPSTREAM_CREDENTIAL: `Authorization: Bearer ${providerKey}`,
    },
  });
});
afterAll(async () => {
  await run.stop();
  provider.closeAllConnections();
  provider.close();
  await sample.stop();
  await rm(dir, { recursive: true, force: true });
});

describe.each(textApis)('$name', (api) => {
  test("F7: the provider gets its own key and host name, and not the caller's credential", async () => {
    const credential = await run.token({ tenant_id: uniqueName('ai'), sub: 'ada', tier: 'pro' });
    const target = { url: run.installation.urls.gateway, credential };
    for (const call of [api.complete, api.stream]) {
      seen.length = 0;
      const answer = await call(target, { model: uniqueModel(), switches: 'tokens=4' });
      expect(answer.text).toBe('Usage is metered per');
      expect(seen).toHaveLength(1);
      expect(seen[0]).toMatchObject({
        authorization: `Bearer ${providerKey}`,
        host: expect.stringMatching(/^localhost:\d+$/) as unknown,
      });
      expect(JSON.stringify(seen)).not.toContain(credential);
    }
  });
});
