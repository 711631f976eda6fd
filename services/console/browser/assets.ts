import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { declareAccess } from '../../../shared/runtime/http/access.ts';

/** Files that pages load. They contain no data of tenants. */
export interface Assets {
  /** Path of a file. It contains a hash of all files, so browsers may cache the file for ever. */
  url(name: string): string;
  get(name: string): Asset | undefined;
  readonly version: string;
}

interface Asset {
  readonly type: string;
  readonly etag: string;
  readonly identity: Buffer;
  readonly gzip: Buffer;
  readonly br: Buffer;
}

const sheets = ['base.css', 'layout.css', 'parts.css', 'table.css', 'forms.css', 'chart.css'];
const types: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

/**
 * Reads and compresses the files once, when the process starts. `brandSheet` is CSS that replaces colours; `logo` is
 * the image of the brand.
 */
export function loadAssets(
  brandSheet: string,
  logo: { readonly type: string; readonly content: Buffer } | null,
): Assets {
  const own = (name: string): string => readFileSync(new URL(`../assets/${name}`, import.meta.url), 'utf8');
  const packaged = (url: string): string =>
    readFileSync(fileURLToPath(url), 'utf8').replace(/\n\/\/# sourceMappingURL=.*/, '');
  const files = new Map([
    [
      'console.css',
      [packaged(import.meta.resolve('uplot/dist/uPlot.min.css')), ...sheets.map(own), brandSheet].join('\n'),
    ],
    [
      'htmx.js',
      `${packaged(import.meta.resolve('htmx.org/dist/htmx.min.js'))};\n${packaged(import.meta.resolve('htmx.org/dist/ext/hx-sse.min.js'))}`,
    ],
    ['uplot.js', packaged(import.meta.resolve('uplot/dist/uPlot.iife.min.js'))],
    ...['console.js', 'chart.js', 'icon.svg'].map((name) => [name, own(name)] as const),
  ]);
  const assets = new Map([...files].map(([name, text]) => [name, assetOf(typeOf(name), Buffer.from(text))]));
  if (logo !== null) assets.set('logo', assetOf(logo.type, logo.content));
  const hash = createHash('sha256');
  for (const [name, { etag }] of assets) hash.update(`${name} ${etag}\n`);
  const version = hash.digest('hex').slice(0, 16);
  return { version, url: (name) => `/assets/${version}/${name}`, get: (name) => assets.get(name) };
}

function typeOf(name: string): string {
  return types[name.split('.').at(-1) ?? ''] ?? 'application/octet-stream';
}

function assetOf(type: string, identity: Buffer): Asset {
  return {
    type,
    etag: `"${createHash('sha256').update(identity).digest('hex').slice(0, 16)}"`,
    identity,
    gzip: gzipSync(identity),
    br: brotliCompressSync(identity, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }),
  };
}

export function registerAssets(app: FastifyInstance, assets: Assets): void {
  void app.register((scope, _options, done) => {
    declareAccess(scope, 'public');
    scope.get<{ Params: { version: string; name: string } }>(
      '/assets/:version/:name',
      { compress: false },
      (request, reply) => sendAsset(assets, request, reply),
    );
    done();
  });
}

/**
 * During an upgrade, a page of a newer process may request its files from this one. Such a request has another hash;
 * the browser then stores the response, but validates it before the next use.
 */
function sendAsset(
  assets: Assets,
  request: FastifyRequest<{ Params: { version: string; name: string } }>,
  reply: FastifyReply,
): FastifyReply {
  const { version, name } = request.params;
  const asset = assets.get(name);
  if (asset === undefined) {
    reply.callNotFound();
    return reply;
  }
  void reply
    .header('cache-control', version === assets.version ? 'public, max-age=31536000, immutable' : 'no-cache')
    .header('etag', asset.etag)
    .header('vary', 'accept-encoding');
  if (request.headers['if-none-match'] === asset.etag) return reply.code(304).send();
  const accepted = request.headers['accept-encoding'] ?? '';
  const encoding = /\bbr\b/.test(accepted) ? 'br' : /\bgzip\b/.test(accepted) ? 'gzip' : null;
  if (encoding !== null) void reply.header('content-encoding', encoding);
  return reply.type(asset.type).send(asset[encoding ?? 'identity']);
}
