import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, BrowserContextOptions } from 'playwright-core';
import { needProgram } from './packages.ts';

/**
 * `node dev/screenshots.ts`: writes the images of docs/images from the pages of the running `npm start`, in both themes
 * and two widths. The pages are the sign-in pages, every page of the navigation, and one page of a tenant and of a
 * refusal. `--to DIRECTORY` writes them elsewhere.
 */
interface Stack {
  readonly urls: { readonly console: string };
  readonly links: { readonly portal: string; readonly operator: string };
}

interface Area {
  readonly name: 'portal' | 'operator';
  /** Address that signs in. */
  readonly signIn: string;
  readonly signInPage: string;
  /** Pages that the navigation does not have: a name, a page with a link to it, and the selector of this link. */
  readonly linked: readonly (readonly [name: string, from: string, link: string])[];
}

const themes = ['light', 'dark'] as const;
const sizes = { wide: { width: 1200, height: 760 }, narrow: { width: 400, height: 760 } } as const;
/** Time for the parts of a page that load after it. Pages poll, so there is no moment without requests. */
const settleMs = 2_000;
/** This tenant has live traffic near its limits. */
const sampleTenant = 'sparrow';

const root = join(import.meta.dirname, '..');
const { values } = parseArgs({ options: { to: { type: 'string' } } });
const target = values.to ?? join(root, 'docs', 'images');
const stack = await readStack();
const areas: readonly Area[] = [
  {
    name: 'portal',
    signIn: stack.links.portal.replace(/[^/]+$/, sampleTenant),
    signInPage: '/',
    linked: [['refusal', '/refusals', 'td a[href^="/refusals/"]']],
  },
  {
    name: 'operator',
    signIn: stack.links.operator,
    signInPage: '/operator',
    linked: [['tenant', '/operator/tenants', `a[href="/operator/tenants/${sampleTenant}"]`]],
  },
];
const browser = await chromium.launch({
  executablePath: await needProgram('chromium', (line) => console.error(line)),
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
});
try {
  if (values.to === undefined) await rm(target, { recursive: true, force: true });
  await mkdir(target, { recursive: true });
  for (const colorScheme of themes) {
    for (const [width, viewport] of Object.entries(sizes)) {
      for (const area of areas)
        await photographArea(browser, area, { colorScheme, viewport }, `${width}-${colorScheme}`);
    }
  }
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

async function photographArea(
  on: Browser,
  { name, signIn, signInPage, linked }: Area,
  options: BrowserContextOptions,
  look: string,
): Promise<void> {
  const context = await on.newContext(options);
  await photograph(context, signInPage, `${name}-sign-in-${look}`);
  const page = await context.newPage();
  await page.goto(signIn);
  const paths = await page.evaluate<string[]>(
    `[...document.querySelectorAll('.tabs a')].map((link) => link.getAttribute('href'))`,
  );
  for (const path of paths) await photograph(context, path, `${name}-${lastPart(path)}-${look}`);
  for (const [one, from, link] of linked) {
    await page.goto(new URL(from, stack.urls.console).href);
    const path = await page.locator(link).first().getAttribute('href');
    if (path === null) throw new Error(`${from} has no link ${link}`);
    await photograph(context, path, `${name}-${one}-${look}`);
  }
  await context.close();
}

/** `/operator/dead-letters` is `dead-letters`; the first page of an area is `start`. */
function lastPart(path: string): string {
  return /^\/operator\/?$/.test(path) ? 'start' : path.split('/').at(-1)!;
}

async function photograph(context: BrowserContext, path: string, name: string): Promise<void> {
  const page = await context.newPage();
  await page.goto(new URL(path, stack.urls.console).href, { waitUntil: 'load' });
  await page.waitForTimeout(settleMs);
  const file = join(target, `${name}.png`);
  await page.screenshot({ path: file });
  await page.close();
  console.log(file);
}
