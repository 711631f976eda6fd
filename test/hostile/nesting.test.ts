import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createFixture } from '../integration/console/fixture.ts';
import type { Fixture } from '../integration/console/fixture.ts';
import { service, useApi } from '../integration/gateway/api.ts';
import { uniqueName } from '../support/servers.ts';

/**
 * Goal: every parser of request bodies bounds the nesting of JSON, so that no later code can overflow the stack.
 * Method: every route that accepts a body receives JSON with 20,000 levels, as the whole body and inside a field.
 */
const levels = 20_000;
const shapes: Readonly<Record<string, string>> = {
  'nested lists': '['.repeat(levels) + ']'.repeat(levels),
  'nested objects': '{"a":'.repeat(levels) + '1' + '}'.repeat(levels),
  'nested lists that never end': '['.repeat(levels),
  'nesting after a text that holds brackets': `["]]]]\\"[[[[",${'['.repeat(levels)}${']'.repeat(levels)}]`,
};

const cloudEvent = (data: string): string =>
  `{"specversion":"1.0","id":"1","source":"s","type":"t","subject":"acme","data":{"a":${data}}}`;

describe('the api listener', () => {
  const api = useApi();
  const routes: readonly [string, string, (nested: string) => string][] = [
    ['POST /v1/check', 'application/json', (nested) => nested],
    ['POST /v1/check', 'application/json', (nested) => `{"method":"GET","path":"/","user":${nested}}`],
    ['POST /v1/events', 'application/cloudevents+json', cloudEvent],
    ['POST /v1/events', 'application/cloudevents-batch+json', (nested) => `[${cloudEvent(nested)}]`],
    ['POST /v1/events', 'application/json', (nested) => nested],
    ['POST /v1/sessions', 'application/json', (nested) => `{"session_id":${nested}}`],
  ];
  test.each(routes)('%s as %s: a 400 that says so', async (what, type, bodyOf) => {
    const [method = '', path = ''] = what.split(' ');
    const ce = {
      'ce-specversion': '1.0',
      'ce-id': '1',
      'ce-source': 's',
      'ce-type': 't',
      'ce-subject': api.tenant,
    };
    for (const nested of Object.values(shapes)) {
      const answer = await api.call(method, path, { ...service, ...ce }, bodyOf(nested), type);
      expectRefused(answer.status, answer.json);
    }
  });
});

describe('the admin listener', () => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture();
  });
  afterAll(() => fixture.dispose());

  const routes: readonly [string, (nested: string) => string][] = [
    ['PUT /admin/v1/tenants/ID', (nested) => nested],
    ['PUT /admin/v1/tenants/ID', (nested) => `{"plan":"free","history":${nested}}`],
    ['PUT /admin/v1/tenants/ID', (nested) => `{"overrides":{"minute":${nested}}}`],
    ['POST /admin/v1/tenants/ID/reset', (nested) => nested],
    ['POST /admin/v1/tenants/ID/block', (nested) => `{"reason":${nested}}`],
    ['POST /admin/v1/tenants/ID/boosts', (nested) => `{"limit":${nested}}`],
    ['POST /admin/v1/reset', (nested) => nested],
    ['POST /admin/v1/portal-links', (nested) => nested],
  ];
  test.each(routes)('%s: a 400 that says so', async (what, bodyOf) => {
    const path = what.replace('ID', uniqueName('nested'));
    for (const nested of Object.values(shapes)) {
      const answer = await fixture.admin(path, bodyOf(nested) as never, {
        'content-type': 'application/json',
      });
      expectRefused(answer.status, answer.body);
    }
  });
});

/** Checks the error in a problem body or, for published events, in the result of the event. */
function expectRefused(status: number, body: object): void {
  expect({ status, text: JSON.stringify(body) }).toEqual({
    status: 400,
    text: expect.stringMatching(
      /nested deeper than 32 levels|not (valid )?JSON|must be a JSON array/,
    ) as string,
  });
}
