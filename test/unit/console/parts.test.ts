import { expect, test } from 'vitest';
import { createParts } from '../../../services/console/browser/parts.ts';
import { html } from '../../../services/console/components/html.ts';

const requestOf = (url: string): never =>
  ({ url, query: Object.fromEntries(new URL(url, 'http://x').searchParams) }) as never;
const never = new Promise<never>(() => undefined);

test('a slow part delays the page for its budget only, and the browser requests it afterwards', async () => {
  const parts = createParts(requestOf('/usage?user=a%26b'), { budgetMs: 30 });
  const [fast, slow] = await Promise.all([
    parts.render('fast', 'Fast', () => Promise.resolve(html`<b>1</b>`)),
    parts.render('slow', 'Slow', () => never),
  ]);
  expect(fast.markup).toContain('<b>1</b>');
  expect(slow.markup).toContain('hx-get="/usage?user=a%26b&amp;part=slow"');
  expect(slow.markup).toContain('Slow: loading…');
  expect(slow.markup).toContain('href="/usage?user=a%26b&amp;wait=1"');
  expect(parts.wanted).toBeNull();
});

test('a request for one part makes only this part, and waits for it', async () => {
  const parts = createParts(requestOf('/usage?part=slow'), { budgetMs: 0 });
  await parts.render('fast', 'Fast', () => Promise.reject(new Error('was made')));
  await parts.render('slow', 'Slow', () => Promise.resolve(html`<b>2</b>`));
  expect(parts.wanted?.markup).toContain('<b>2</b>');
  const none = createParts(requestOf('/usage?part=none'));
  await none.render('slow', 'Slow', () => Promise.reject(new Error('was made')));
  expect(none.wanted).toBeUndefined();
});

test('a part that fails within the budget fails the page', async () => {
  const parts = createParts(requestOf('/usage'), { budgetMs: 1000 });
  await expect(parts.render('bad', 'Bad', () => Promise.reject(new Error('broken')))).rejects.toThrow(
    'broken',
  );
});
