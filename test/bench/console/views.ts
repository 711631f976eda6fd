import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { Pool } from 'undici';

/** One view of a page, as a browser with an empty cache loads it. */
export interface View {
  /** From the request to the end of the document. */
  readonly documentMs: number;
  /** From the request to the end of the last script, style sheet and part that the page requests at load. */
  readonly completeMs: number;
  readonly document: string;
  /** Compressed bytes of all scripts of the page. */
  readonly scriptBytes: number;
  /** Parts that were requested after the document. */
  readonly parts: number;
}

/** Browsers open at most this many connections to a server. */
const connectionsMax = 6;
const headers = { 'accept-encoding': 'br, gzip' };

export async function viewPage(url: string, path: string, cookie: string): Promise<View> {
  const pool = new Pool(url, { connections: connectionsMax });
  const startedAt = performance.now();
  const elapsedMs = (): number => performance.now() - startedAt;
  try {
    const { text: document } = await load(pool, path, { cookie });
    const documentMs = elapsedMs();
    const scripts = addresses(document, /<script[^>]* src="([^"]+)"/g);
    const sheets = addresses(document, /<link rel="stylesheet" href="([^"]+)"/g);
    const files = await Promise.all([...scripts, ...sheets].map((file) => load(pool, file, {})));
    // htmx requests the parts once its script has run.
    const parts = await loadParts(pool, document, cookie);
    const scriptBytes = files.slice(0, scripts.length).reduce((sum, { bytes }) => sum + bytes, 0);
    return { documentMs, completeMs: elapsedMs(), document, scriptBytes, parts };
  } finally {
    await pool.close();
  }
}

/** Requests the parts of a page, and the parts of these parts. Returns their number. */
async function loadParts(pool: Pool, markup: string, cookie: string): Promise<number> {
  const elements = markup.match(/<[^>]* hx-trigger="load"[^>]*>/g) ?? [];
  const paths = elements.flatMap((element) => addresses(element, /hx-get="([^"]+)"/g));
  const loaded = await Promise.all(
    paths.map(async (path) => {
      const { text } = await load(pool, path, { cookie, 'hx-request': 'true' });
      return 1 + (await loadParts(pool, text, cookie));
    }),
  );
  return loaded.reduce((sum, count) => sum + count, 0);
}

async function load(
  pool: Pool,
  path: string,
  more: Readonly<Record<string, string>>,
): Promise<{ readonly text: string; readonly bytes: number }> {
  const response = await pool.request({ path, method: 'GET', headers: { ...headers, ...more } });
  const body = Buffer.from(await response.body.arrayBuffer());
  if (response.statusCode !== 200) throw new Error(`${path} has the status ${response.statusCode}`);
  return { text: decoded(body, String(response.headers['content-encoding'] ?? '')), bytes: body.length };
}

function addresses(markup: string, pattern: RegExp): string[] {
  return [...markup.matchAll(pattern)].map(([, address = '']) => address.replaceAll('&amp;', '&'));
}

function decoded(body: Buffer, encoding: string): string {
  if (encoding === 'br') return brotliDecompressSync(body).toString();
  return (encoding === 'gzip' ? gunzipSync(body) : body).toString();
}
