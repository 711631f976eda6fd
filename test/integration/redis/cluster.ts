import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { freePort } from '../../../dev/servers/free-port.ts';
import { eventually, startRedis } from '../../support/servers.ts';

type Server = Awaited<ReturnType<typeof startRedis>>;

export interface RunningCluster {
  readonly url: string;
  readonly servers: readonly Server[];
  dispose(): Promise<void>;
}

/** Starts three masters on loopback that serve all slots. */
export async function startCluster(): Promise<RunningCluster> {
  const servers: Server[] = [];
  for (let index = 0; index < 3; index += 1) {
    const busPort = await freePort();
    const args = [
      '--cluster-enabled',
      'yes',
      '--cluster-port',
      String(busPort),
      '--cluster-node-timeout',
      '30000',
    ];
    servers.push(await startRedis({ args: [...args, '--cluster-require-full-coverage', 'no'] }));
  }
  const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
  await promisify(execFile)('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes']);
  await eventually(async () => {
    const infos = await Promise.all(servers.map(({ url }) => clusterInfo(url)));
    return infos.every((info) => info.includes('cluster_state:ok') && info.includes('cluster_known_nodes:3'));
  });
  return {
    url: servers.map(({ url }) => url).join(','),
    servers,
    dispose: async () => {
      await Promise.all(servers.map((server) => server.dispose()));
    },
  };
}

async function clusterInfo(url: string): Promise<string> {
  const redis = new Redis(url);
  try {
    return String(await redis.call('CLUSTER', 'INFO'));
  } finally {
    redis.disconnect();
  }
}
