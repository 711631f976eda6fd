import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { needProgram } from '../../../dev/packages.ts';
import type { Say } from '../../../dev/packages.ts';
import { freePort } from '../../../dev/servers/free-port.ts';
import { startServerProcess } from '../../../dev/servers/server-process.ts';
import type { ServerProcess } from '../../../dev/servers/server-process.ts';
import { cpuSecondsOf } from '../decision/processes.ts';

export interface RunningNginx extends ServerProcess {
  readonly port: number;
  /** CPU time of the worker. */
  cpuSeconds(): number;
}

/** An upstream that responds at once. */
export function startUpstream(dir: string, core: number, say: Say): Promise<RunningNginx> {
  const location = `default_type application/json; return 200 '{"hello":"world"}';`;
  return startNginx('upstream', '', location, { dir, core, say });
}

/** nginx as a proxy with connections that it keeps open. */
export function startNginxProxy(
  upstreamPort: number,
  dir: string,
  core: number,
  say: Say,
): Promise<RunningNginx> {
  const upstream = `upstream api { server 127.0.0.1:${upstreamPort}; keepalive 64; keepalive_requests 10000000; }`;
  const location = `proxy_pass http://api; proxy_http_version 1.1; proxy_set_header Connection "";`;
  return startNginx('nginx', upstream, location, { dir, core, say });
}

async function startNginx(
  name: string,
  upstream: string,
  location: string,
  { dir, core, say }: { readonly dir: string; readonly core: number; readonly say: Say },
): Promise<RunningNginx> {
  const [command, port, own] = [await needProgram('nginx', say), await freePort(), join(dir, name)];
  await mkdir(own, { recursive: true });
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `${kind}_temp_path ${join(own, kind)};`,
  );
  const config = `daemon off; pid ${join(own, 'pid')}; worker_processes 1; worker_cpu_affinity ${core === 0 ? '01' : '10'};
events { worker_connections 512; }
http {
  access_log off; keepalive_requests 10000000; ${temporary.join(' ')}
  ${upstream}
  server { listen 127.0.0.1:${port}; location / { ${location} } }
}
`;
  await writeFile(join(own, 'nginx.conf'), config);
  const server = await startServerProcess({
    name,
    command,
    args: ['-p', own, '-c', join(own, 'nginx.conf'), '-e', 'stderr'],
    dir: own,
    logFile: join(own, 'log'),
    ready: async () => (await fetch(`http://127.0.0.1:${port}/`)).ok,
    ports: [port],
    readyTimeoutMs: 20_000,
  });
  const [worker = ''] = (await readFile(`/proc/${server.pid}/task/${server.pid}/children`, 'utf8')).split(
    ' ',
  );
  return { ...server, port, cpuSeconds: () => cpuSecondsOf(Number(worker)) };
}
