import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { storeUsage } from '../support/stored-usage.ts';
import { uniqueName } from '../support/servers.ts';
import { createBrowserFixture, layoutOf } from './browser.ts';
import type { BrowserFixture } from './browser.ts';

let fixture: BrowserFixture;
let folder: string;
let file: string;
const tenant = uniqueName('backtest');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-policy-'));
  file = join(folder, 'policy.yaml');
  await writeFile(file, await readFile('policies/default.yaml', 'utf8'));
  fixture = await createBrowserFixture({ policyPath: file, policyIsWritable: true });
  const startMs = Date.now() - 1_800_000;
  const events = Array.from({ length: 40 }, (_, index) => ({
    timeMs: startMs + index * 500,
    tenant,
    plan: 'free',
  }));
  await storeUsage(fixture.clickhouse, events);
}, 60_000);

afterAll(async () => {
  await fixture.dispose();
  await rm(folder, { recursive: true });
});

test('a proposed policy is compared, backtested on recorded traffic and put live, with a confirmation and a reason', async () => {
  const { page, complaints } = await fixture.openOperator({ viewport: { width: 390, height: 800 } });
  await page.goto(`${fixture.url}/operator/policy`);
  const proposed = (await readFile(file, 'utf8')).replace('limit: 100, window: 1m', 'limit: 10, window: 1m');
  expect(proposed).not.toBe(await readFile(file, 'utf8'));
  const text = page.getByRole('textbox', { name: 'Proposed policy' });
  await text.fill(`${proposed}\nnonsense: 1\n`);
  await page.getByRole('button', { name: 'Check and compare' }).click();
  await page.getByText('The policy has violations, see below.').waitFor();
  await page.getByRole('alert').getByText('nonsense').waitFor();
  await text.fill(proposed);
  await page.getByLabel('Recorded requests of the').selectOption('1h');
  await page.getByRole('button', { name: 'Backtest' }).click();
  await expect
    .poll(async () => {
      await page.goto(`${fixture.url}/operator/policy`);
      return page.getByText('requests passed and would be refused').count();
    })
    .toBe(1);
  expect(await page.getByText('requests passed and would be refused').textContent()).toMatch(/30\s+of\s+40/);
  await page.getByRole('button', { name: 'Put live…' }).click();
  await page.getByText('This affects all tenants.').waitFor();
  await page.locator('.policy-text .added').getByText('limit: 10, window: 1m').first().waitFor();
  expect((await layoutOf(page)).width).toBeLessThanOrEqual(390);
  const revision = (await page.locator('.hint code').textContent()) ?? '';
  await page.getByLabel('Why').fill('ten are enough');
  await page.getByLabel('Type this to confirm').fill('not this');
  await page.getByRole('button', { name: 'Put live' }).click();
  await page.getByText(`Nothing was done. Type exactly: ${revision}`).first().waitFor();
  expect(await page.getByLabel('Why').inputValue()).toBe('ten are enough');
  await page.getByLabel('Type this to confirm').fill(revision);
  await page.getByRole('button', { name: 'Put live' }).click();
  await page.getByText('The policy is live.').waitFor();
  expect(await readFile(file, 'utf8')).toBe(proposed);
  await page.getByText('ten are enough').waitFor();
  expect((await layoutOf(page)).width).toBeLessThanOrEqual(390);
  // The browser reports the refused confirmation, which is meant.
  expect(complaints.filter((text) => !text.includes('422'))).toEqual([]);
});
