import { expect, test } from 'vitest';
import { listeners } from './listeners.ts';

test.each(Object.keys(listeners))('each route of the %s listener declares its credential', async (name) => {
  const app = await listeners[name]!();
  await app.ready();
  expect(app.routeAccess.length).toBeGreaterThan(0);
  expect(app.routeAccess.filter(({ access }) => access === undefined)).toEqual([]);
  await app.close();
});
