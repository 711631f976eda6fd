import { request } from 'node:http';
import type { RequestOptions } from 'node:http';

const pingTimeoutMs = 1_000;

/** Whether a container engine responds at the address that Docker clients use. */
export function containerEngineAnswers(env: NodeJS.ProcessEnv): Promise<boolean> {
  const address = addressOf(env['DOCKER_HOST'] ?? 'unix:///var/run/docker.sock');
  if (address === null) return Promise.resolve(false);
  return new Promise((resolve) => {
    const ping = request({ ...address, path: '/_ping', timeout: pingTimeoutMs }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.once('timeout', () => ping.destroy());
    ping.once('error', () => resolve(false));
    ping.end();
  });
}

function addressOf(dockerHost: string): RequestOptions | null {
  if (!URL.canParse(dockerHost)) return null;
  const url = new URL(dockerHost);
  if (url.protocol === 'unix:') return { socketPath: url.pathname };
  if (url.protocol === 'tcp:' || url.protocol === 'http:')
    return { host: url.hostname, port: url.port || 2375 };
  // For addresses with other protocols, such as ssh, containers must be selected with STACK=containers.
  return null;
}
