import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pythonBin } from '../../../dev/python-packages.ts';
import { freePort } from '../../../dev/servers/free-port.ts';
import { startServerProcess } from '../../../dev/servers/server-process.ts';
import { policyEnv } from '../../unit/policy/text.ts';

export interface Envoy {
  readonly url: string;
  /** Returns a counter of Envoy's statistics by its full name; 0 if Envoy never incremented it. */
  stat(name: string): Promise<number>;
  stop(): Promise<void>;
}

export interface EnvoyTargets {
  readonly api: string;
  readonly tollgate: string;
}

/**
 * Starts a real Envoy with a configuration file of `examples/envoy`. The ports, the parts that `change` edits and the
 * timeout of Tollgate's decision, which a busy machine would miss, differ from the file.
 */
export async function startEnvoy(
  file: string,
  { api, tollgate }: EnvoyTargets,
  change: (config: string) => string = (config) => config,
): Promise<Envoy> {
  const bin = await pythonBin('proxies', (line) => process.stderr.write(`${line}\n`));
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-envoy-'));
  const [port, adminPort] = [await freePort(), await freePort()];
  const shipped = await readFile(join('examples/envoy', file), 'utf8');
  const config = change(shipped)
    .replace(/(?<= )timeout: 0\.2s/, 'timeout: 60s')
    .replace('port_value: 8000', `port_value: ${port}`)
    .replace('port_value: 9000', `port_value: ${portOf(api)}`)
    .replace(/port_value: 808[14]/, `port_value: ${portOf(tollgate)}`);
  const admin = `admin: { address: { socket_address: { address: 127.0.0.1, port_value: ${adminPort} } } }\n`;
  await writeFile(join(dir, 'envoy.yaml'), admin + config);
  await writeFile(join(dir, 'jwks.json'), JSON.stringify({ keys: [keyOf(policyEnv.TOLLGATE_JWT_SECRET)] }));
  const adminUrl = `http://127.0.0.1:${adminPort}`;
  const envoy = await startServerProcess({
    name: 'envoy',
    command: join(bin, 'envoy'),
    args: ['-c', 'envoy.yaml', '--concurrency', '1', '--disable-hot-restart', '--log-level', 'warn'],
    dir,
    logFile: join(dir, 'envoy.log'),
    ready: async () => (await fetch(`${adminUrl}/ready`)).ok,
    readyTimeoutMs: 60_000,
  });
  return {
    url: `http://127.0.0.1:${port}`,
    stat: async (name) => {
      const text = await (await fetch(`${adminUrl}/stats?filter=${encodeURIComponent(`^${name}$`)}`)).text();
      return Number(/: (\d+)/.exec(text)?.[1] ?? 0);
    },
    stop: async () => {
      await envoy.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(':') + 1);
}

function keyOf(secret: string): object {
  return { kty: 'oct', alg: 'HS256', k: Buffer.from(secret).toString('base64url') };
}
