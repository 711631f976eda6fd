import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import type { IncomingMessage, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import express from 'express';
import { fastify } from 'fastify';
import { needProgram } from '../../../dev/packages.ts';
import { pythonBin } from '../../../dev/python-packages.ts';
import { freePort } from '../../../dev/servers/free-port.ts';
import { startServerProcess } from '../../../dev/servers/server-process.ts';

/**
 * An API with the routes `POST /agent/chat`, `POST /files/**` and `POST /free`. `X-Served` of every response names the
 * route that served it: chat, files, free or other.
 */
export interface Upstream {
  readonly url: string;
  close(): Promise<void>;
}

export interface UpstreamKind {
  readonly name: string;
  /** The policy setting `requests`, which describes how this upstream interprets request targets. */
  readonly requests: string;
  readonly start: () => Promise<Upstream>;
}

const undecoding =
  '{ encoded_slash: text, backslash: text, control_characters: text, parameters: text, letter_case: sensitive, double_slash: keep, double_encoding: text }';

export const upstreamKinds: readonly UpstreamKind[] = [
  {
    name: 'Node, comparing req.url',
    requests: undecoding,
    start: () => startNode((url) => url.split('?', 1)[0] ?? ''),
  },
  {
    name: 'Node, parsing a URL and decoding it',
    requests: '{ letter_case: sensitive, parameters: text, double_encoding: text }',
    start: () => startNode((url) => decodeURIComponent(new URL(url, 'http://api').pathname)),
  },
  {
    name: 'Node, matching as Express does: no letter case, a slash at the end or none',
    requests: '{ letter_case: insensitive, parameters: text, double_encoding: text }',
    start: () => startNode((url) => (url.split('?', 1)[0] ?? '').toLowerCase().replace(/(.)\/$/, '$1')),
  },
  {
    name: 'Fastify',
    requests: '{ letter_case: sensitive, parameters: text, double_encoding: text }',
    start: () => startFastify({}),
  },
  {
    name: 'Fastify, as lax as it can be',
    requests: '{ letter_case: insensitive }',
    start: () =>
      startFastify({
        caseSensitive: false,
        ignoreTrailingSlash: true,
        ignoreDuplicateSlashes: true,
        useSemicolonDelimiter: true,
      }),
  },
  {
    name: 'nginx',
    requests: '{ letter_case: sensitive, parameters: text, double_encoding: text }',
    start: () =>
      startProgram('nginx', nginxConfiguration, (program, file, dir) => [program, '-p', dir, '-c', file]),
  },
  {
    name: 'Caddy (Go)',
    requests: '{ letter_case: insensitive, parameters: text, double_encoding: text }',
    start: () =>
      startProgram('caddy', caddyConfiguration, (program, file) => [
        program,
        'run',
        '--adapter',
        'caddyfile',
        '--config',
        file,
      ]),
  },
  {
    name: 'Python, WSGI',
    requests: '{ letter_case: sensitive, parameters: text, double_encoding: text }',
    start: startWsgi,
  },
  {
    name: 'FastAPI (uvicorn)',
    requests: '{ letter_case: sensitive, parameters: text, double_encoding: text }',
    start: startFastApi,
  },
  {
    name: 'Express',
    requests: '{ letter_case: insensitive, parameters: text, double_encoding: text }',
    start: () => startExpress(),
  },
  {
    name: 'Go (net/http, ServeMux)',
    requests: '{ letter_case: sensitive, parameters: text, double_encoding: text }',
    start: startGo,
  },
];

function servedBy(path: string): string {
  if (path === '/agent/chat') return 'chat';
  if (path === '/free') return 'free';
  return path.startsWith('/files/') ? 'files' : 'other';
}

async function startNode(pathOf: (url: string) => string): Promise<Upstream> {
  const server = createServer((request: IncomingMessage, response) => {
    try {
      response.setHeader('x-served', servedBy(pathOf(request.url ?? '')));
    } catch {
      response.statusCode = 400;
    }
    response.end('served');
  });
  return listening(server);
}

function startExpress(): Promise<Upstream> {
  const app = express();
  for (const [path, served] of [
    ['/agent/chat', 'chat'],
    ['/free', 'free'],
    ['/files/*rest', 'files'],
    ['/*rest', 'other'],
  ] as const) {
    app.post(path, (_request, response) => void response.set('x-served', served).send('served'));
  }
  return listening(createServer(app));
}

async function listening(server: Server): Promise<Upstream> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function startFastify(routerOptions: object): Promise<Upstream> {
  const app = fastify({ routerOptions, forceCloseConnections: true });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null));
  for (const [path, served] of [
    ['/agent/chat', 'chat'],
    ['/free', 'free'],
    ['/files/*', 'files'],
    ['/*', 'other'],
  ] as const) {
    app.post(path, (_request, reply) => reply.header('x-served', served).send('served'));
  }
  return { url: await app.listen({ host: '127.0.0.1', port: 0 }), close: () => app.close() };
}

const nginxConfiguration = (
  port: number,
  dir: string,
): string => `daemon off; worker_processes 1; pid ${dir}/pid;
error_log stderr crit;
events {}
http {
  access_log off; client_body_temp_path ${dir}; proxy_temp_path ${dir}; fastcgi_temp_path ${dir};
  uwsgi_temp_path ${dir}; scgi_temp_path ${dir};
  server {
    listen 127.0.0.1:${port};
    location = /agent/chat { add_header X-Served chat; return 200; }
    location = /free { add_header X-Served free; return 200; }
    location /files/ { add_header X-Served files; return 200; }
    location / { add_header X-Served other; return 200; }
  }
}`;

const caddyConfiguration = (port: number): string => `{
  admin off
  auto_https off
}
http://:${port} {
  bind 127.0.0.1
  @chat path /agent/chat
  @free path /free
  @files path /files/*
  handle @chat {
    header X-Served chat
    respond 200
  }
  handle @free {
    header X-Served free
    respond 200
  }
  handle @files {
    header X-Served files
    respond 200
  }
  handle {
    header X-Served other
    respond 200
  }
}`;

async function startProgram(
  name: 'nginx' | 'caddy',
  configuration: (port: number, dir: string) => string,
  commandLine: (program: string, file: string, dir: string) => string[],
): Promise<Upstream> {
  const program = await needProgram(name, say);
  return startServer(name, async (port, dir) => {
    const file = join(dir, 'configuration');
    await writeFile(file, configuration(port, dir));
    return commandLine(program, file, dir);
  });
}

async function startFastApi(): Promise<Upstream> {
  const python = join(await pythonBin('upstreams', say), 'python');
  const script = join(import.meta.dirname, 'fastapi_upstream.py');
  return startServer('fastapi', (port) => Promise.resolve([python, script, String(port)]));
}

async function startGo(): Promise<Upstream> {
  const go = await needProgram('go', say);
  const source = join(import.meta.dirname, 'go_upstream.go');
  return startServer('go', async (port, dir) => {
    const program = join(dir, 'upstream');
    await promisify(execFile)(go, ['build', '-o', program, source]);
    return [program, String(port)];
  });
}

const say = (line: string): void => void process.stderr.write(`${line}\n`);

function startWsgi(): Promise<Upstream> {
  const script = join(import.meta.dirname, 'wsgi_upstream.py');
  return startServer('wsgi', (port) => Promise.resolve(['python3', script, String(port)]));
}

async function startServer(
  name: string,
  commandLine: (port: number, dir: string) => Promise<string[]>,
): Promise<Upstream> {
  const dir = await mkdtemp(join(tmpdir(), `tollgate-${name}-`));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const [command = '', ...args] = await commandLine(port, dir);
  const started = await startServerProcess({
    name,
    command,
    args,
    dir,
    env: { XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir },
    logFile: join(dir, 'log'),
    ready: async () => (await fetch(url)).ok,
    readyTimeoutMs: 60_000,
  });
  return {
    url,
    close: async () => {
      await started.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
