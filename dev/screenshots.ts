import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import type { Browser } from 'playwright-core';
import { needProgram } from './packages.ts';

/**
 * `node dev/screenshots.ts`: writes the images of docs/images from the pages of the running `npm start`, in both themes
 * and two widths. `--to DIRECTORY` writes them elsewhere.
 */
interface Stack {
  readonly urls: { readonly console: string };
  readonly links: { readonly portal: string; readonly operator: string };
}

interface Shot {
  readonly name: string;
  /** The sample tenant whose portal it is; null for the operator console. */
  readonly tenant: string | null;
  readonly path: string;
}

/** `sparrow` has live traffic near its limits; the history of `acme` has no live traffic. */
const shots: readonly Shot[] = [
  { name: 'portal-usage', tenant: 'sparrow', path: '/usage' },
  { name: 'portal-history', tenant: 'acme', path: '/history' },
  { name: 'operator-tenants', tenant: null, path: '/operator/tenants' },
];
const themes = ['light', 'dark'] as const;
const sizes = { wide: { width: 1200, height: 760 }, narrow: { width: 400, height: 760 } } as const;
/** Time for the parts of a page that load after it. Pages poll, so there is no moment without requests. */
const settleMs = 2_500;

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({ options: { to: { type: 'string' } } });
const target = values.to ?? join(root, 'docs', 'images');
const stack = await readStack();
const browser = await chromium.launch({
  executablePath: await needProgram('chromium', (line) => console.error(line)),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
});
try {
  await mkdir(target, { recursive: true });
  for (const shot of shots) await photograph(browser, shot);
} finally {
  await browser.close();
}

async function readStack(): Promise<Stack> {
  try {
    return JSON.parse(await readFile(join(root, '.local', 'stack.json'), 'utf8')) as Stack;
  } catch {
    throw new Error('Start the sample installation first, in another terminal: npm start');
  }
}

async function photograph(on: Browser, { name, tenant, path }: Shot): Promise<void> {
  for (const colorScheme of themes) {
    for (const [width, viewport] of Object.entries(sizes)) {
      const context = await on.newContext({ colorScheme, viewport });
      const page = await context.newPage();
      const { portal, operator } = stack.links;
      await page.goto(tenant === null ? operator : portal.replace(/[^/]+$/, tenant));
      await page.goto(new URL(path, stack.urls.console).href, { waitUntil: 'load' });
      await page.waitForTimeout(settleMs);
      const file = join(target, `${name}-${width}-${colorScheme}.png`);
      await page.screenshot({ path: file });
      await context.close();
      console.log(file);
    }
  }
}
