import axeCore from 'axe-core';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { needProgram } from '../../dev/packages.ts';
import { adminToken, createFixture } from '../integration/console/fixture.ts';
import type { Fixture, FixtureOptions } from '../integration/console/fixture.ts';

export interface Opened {
  readonly page: Page;
  /** Errors and console errors of the page, violations of its content security policy included. */
  readonly complaints: readonly string[];
}

/** The console on a port, and a Chromium that opens its pages. */
export interface BrowserFixture extends Fixture {
  readonly url: string;
  /** Opens a page in a new browser profile. */
  open(options?: BrowserContextOptions): Promise<Opened>;
  /** Opens the portal of a tenant by a portal link. */
  openPortal(tenantId: string, options?: BrowserContextOptions): Promise<Opened>;
  /** Opens the operator console, signed in with the admin token as `Robin`. */
  openOperator(options?: BrowserContextOptions): Promise<Opened>;
}

export async function createBrowserFixture(options: FixtureOptions = {}): Promise<BrowserFixture> {
  const fixture = await createFixture(options);
  const url = await fixture.consoleApp.listen({ host: '127.0.0.1', port: 0 });
  const browser = await launchBrowser();
  const open = (context?: BrowserContextOptions): Promise<Opened> => openPage(browser, context);
  return {
    ...fixture,
    url,
    open,
    async openPortal(tenantId, context) {
      const opened = await open(context);
      await opened.page.goto(`${url}/sign-in?token=${await fixture.link(tenantId, 60_000)}`);
      return opened;
    },
    async openOperator(context) {
      const opened = await open(context);
      await signInOperator(opened.page, url);
      return opened;
    },
    async dispose() {
      await browser.close();
      await fixture.dispose();
    },
  };
}

export async function launchBrowser(): Promise<Browser> {
  return await chromium.launch({
    executablePath: await needProgram('chromium', () => undefined),
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
    ],
  });
}

async function openPage(browser: Browser, options: BrowserContextOptions = {}): Promise<Opened> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => void complaints.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  return { page, complaints };
}

async function signInOperator(page: Page, url: string): Promise<void> {
  await page.goto(`${url}/operator`);
  await page.getByLabel('Your name').fill('Robin');
  await page.getByLabel('Admin token').fill(adminToken);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL((now) => now.pathname !== '/operator/sign-in');
}

/** The accessibility rules that the page violates, each with its first element. */
export async function accessibilityViolations(page: Page): Promise<string[]> {
  return await page.evaluate<string[]>(`${axeCore.source};
    axe.run().then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes[0].html.slice(0, 200)))`);
}

export interface PageLayout {
  /** Width of the content in pixels. It is the width of the window if nothing is outside it. */
  readonly width: number;
  readonly mainHeadings: number;
  /** True if the tab of the page is visible, or the page has no tabs. */
  readonly tabVisible: boolean;
  /** Form fields without a label. */
  readonly unlabelled: readonly string[];
  /** Texts of table cells and headings that are cut off or outside the window. */
  readonly cutOff: readonly string[];
  /** Tables that are wider than their container, so that their last columns are outside it. */
  readonly wideTables: readonly string[];
  /** Words of at most 20 letters in tables, badges and headings that continue on the next line. */
  readonly brokenWords: readonly string[];
}

export async function layoutOf(page: Page): Promise<PageLayout> {
  return await page.evaluate<PageLayout>(`(() => {
    const tab = document.querySelector('.tabs [aria-current]')?.getBoundingClientRect();
    const cells = [...document.querySelectorAll('td, th, h1, h2, dt, dd')].filter((cell) => cell.checkVisibility());
    const isCut = (cell) =>
      cell.getBoundingClientRect().right > innerWidth + 1 ||
      cell.getBoundingClientRect().left < -1 ||
      (getComputedStyle(cell).overflowX !== 'visible' && cell.scrollWidth > cell.clientWidth + 1);
    const scrolls = (cell) => cell.closest('[data-scrolls], pre, .scrolls') !== null;
    const onlyForReaders = (cell) => cell.closest('thead, .visually-hidden')?.clientWidth === 1;
    const wordsOver = (element) => {
      const texts = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      const found = [];
      for (let text = texts.nextNode(); text !== null; text = texts.nextNode())
        for (const { 0: word, index } of text.data.matchAll(/(?<!\\p{L})\\p{L}{2,20}(?!\\p{L})/gu)) {
          const range = document.createRange();
          range.setStart(text, index);
          range.setEnd(text, index + word.length);
          if (new Set([...range.getClientRects()].map(({ top }) => top)).size > 1) found.push(word);
        }
      return found;
    };
    return {
      width: document.documentElement.scrollWidth,
      mainHeadings: document.querySelectorAll('h1').length,
      tabVisible: tab === undefined || (tab.left >= 0 && tab.right <= innerWidth),
      unlabelled: [...document.querySelectorAll('input:not([type=hidden]), select, textarea')]
        .filter((field) => field.labels.length === 0 && !field.ariaLabel)
        .map((field) => field.name),
      cutOff: cells.filter((cell) => isCut(cell) && !scrolls(cell) && !onlyForReaders(cell)).map((cell) => cell.textContent.trim().slice(0, 60)),
      wideTables: [...document.querySelectorAll('.scroll')]
        .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth + 1)
        .map((container) => container.querySelector('caption').textContent.trim() + ': ' + container.scrollWidth + ' of ' + container.clientWidth + ' px'),
      brokenWords: cells.filter((cell) => !onlyForReaders(cell)).flatMap(wordsOver),
    };
  })()`);
}
