import { afterAll, beforeAll, expect, test } from 'vitest';
import { createFixture } from '../../integration/console/fixture.ts';
import type { Fixture } from '../../integration/console/fixture.ts';
import { post, visit } from '../../integration/console/browser.ts';
import { uniqueName } from '../../support/servers.ts';

/**
 * Goal: no submitted form blocks the console for long. Method: each hostile form is sent together with a harmless form
 * of the same size, and must not take many times as long. The comparison makes the result independent of the load of
 * the machine.
 */
let fixture: Fixture;
beforeAll(async () => {
  fixture = await createFixture();
});
afterAll(() => fixture.dispose());

const size = 60_000;
const harmless = { channel: 'email', address: 'a'.repeat(size) };
const hostile: Readonly<Record<string, Record<string, string> | [string, string][]>> = {
  'an e-mail address of dots': { ...harmless, address: `a@${'.'.repeat(size)}` },
  'an e-mail address of dots that ends in @': { ...harmless, address: `a@${'.'.repeat(size)}@` },
  'an e-mail address of labels': { ...harmless, address: `a@${'b.'.repeat(size / 2)}@` },
  'a web address of slashes': { channel: 'webhook', address: `https:${'/'.repeat(size)}` },
  'as many limits as fit': fields(size / 12, (index) => [`at:${index}`, '70']),
  'as many thresholds as fit': fields(size / 14, (index) => ['threshold', `${index}`]),
  'as many fields as fit': fields(size / 6, (index) => [index.toString(36), '']),
};

test.each(Object.entries(hostile))('%s is refused as fast as any text', async (_name, form) => {
  const cookie = await visit(fixture, uniqueName('form'));
  const took = async (body: typeof form): Promise<number> => {
    let least = Infinity;
    for (let run = 0; run < 3; run += 1) {
      const startedAt = performance.now();
      const { status, text } = await post(fixture, pathOf(body), body, cookie);
      least = Math.min(least, performance.now() - startedAt);
      expect(status).toBeLessThan(500);
      expect(text.length).toBeLessThan(3 * size);
    }
    return least;
  };
  const plainMs = await took(harmless);
  expect(await took(form)).toBeLessThan(20 * plainMs + 20);
});

/** The form of the page to which the fields belong. */
function pathOf(form: Record<string, string> | [string, string][]): string {
  if (!Array.isArray(form)) return '/notifications/targets';
  return form[0]?.[0].startsWith('at:') === true ? '/notifications/limits' : '/notifications';
}

function fields(length: number, fieldAt: (index: number) => [string, string]): [string, string][] {
  return Array.from({ length }, (_, index) => fieldAt(index));
}
