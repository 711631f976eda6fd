import { fastify } from 'fastify';
import type { FastifyInstance } from 'fastify';
import { beforeEach, describe, expect, test } from 'vitest';
import { defaultBrand } from '../../../services/console/browser/brand.ts';
import { registerShell } from '../../../services/console/browser/shell.ts';
import { acceptForms } from '../../../services/console/components/form-body.ts';
import { registerConfirmed } from '../../../services/console/operator/confirm/confirmation.ts';
import { rejection, success } from '../../../shared/tenants/outcome.ts';

let app: FastifyInstance;
let tenants: number;
let done: string[];

beforeEach(() => {
  tenants = 3;
  done = [];
  app = fastify();
  registerShell(app, defaultBrand);
  acceptForms(app);
  app.decorateRequest('operator', null);
  app.addHook('onRequest', (request, _reply, next) => {
    request.operator = { name: 'robin', role: 'admin' };
    next();
  });
  registerConfirmed(app, {
    path: '/operator/things/:id/drop',
    role: 'admin',
    here: '/operator/tenants',
    confirmation: () =>
      Promise.resolve(
        tenants === 0
          ? rejection(404, 'Nothing to drop', 'There are no tenants.')
          : success({
              title: 'Drop things',
              effects: [`${tenants} tenants lose <all> things.`],
              phrase: `drop ${tenants}`,
              button: 'Drop',
              back: '/operator/tenants',
              fields: { draft: 'a "draft"' },
            }),
      ),
    act: (operator, _request, form) => {
      done.push(`${operator}: ${form.get('reason') ?? ''}, ${form.get('draft') ?? ''}`);
      return Promise.resolve(success('/operator/tenants?done=saved'));
    },
  });
});

const path = '/operator/things/a%2Fb/drop';
const post = (form: Record<string, string>) =>
  app.inject({
    method: 'POST',
    url: path,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    payload: new URLSearchParams(form).toString(),
  });

describe('an action that needs a confirmation', () => {
  test('is not run by opening its page, nor by the form that leads there; the page names what will happen', async () => {
    for (const response of [await app.inject(path), await post({ draft: 'x' })]) {
      expect(response.statusCode).toBe(200);
      expect(response.body).toContain('3 tenants lose &lt;all&gt; things.');
      expect(response.body).toContain('<code>drop 3</code>');
      expect(response.body).toContain(`action="${path}"`);
      expect(response.body).toContain('value="a &quot;draft&quot;"');
    }
    expect(done).toEqual([]);
  });

  test('is run once the phrase is typed and a reason is stated, with the fields of the first form', async () => {
    const response = await post({ confirm: ' drop 3 ', reason: 'cleanup', draft: 'a "draft"' });
    expect([response.statusCode, response.headers.location]).toEqual([303, '/operator/tenants?done=saved']);
    expect(done).toEqual(['robin: cleanup, a "draft"']);
  });

  test.each([
    ['another phrase', { confirm: 'drop', reason: 'cleanup' }],
    ['no reason', { confirm: 'drop 3', reason: ' ' }],
    ['an empty phrase', { confirm: '', reason: 'cleanup' }],
  ])('is not run with %s; what was typed is kept', async (_what, form) => {
    const response = await post(form);
    expect(response.statusCode).toBe(422);
    expect(response.body).toContain('Nothing was done.');
    expect(response.body).toContain('aria-invalid="true"');
    expect(response.body).toContain(`value="${form.reason}"`);
    expect(done).toEqual([]);
  });

  test('is opened only by its form if its form carries what is confirmed', async () => {
    registerConfirmed(app, {
      ...{ path: '/operator/texts/use', role: 'admin', here: '/operator/policy', isFormOnly: true },
      confirmation: () => Promise.resolve(rejection(422, 'Not a text', 'The text is empty.')),
      act: () => Promise.resolve(success('/operator/policy')),
    });
    const linked = await app.inject('/operator/texts/use?text=other');
    expect([linked.statusCode, linked.headers.location]).toEqual([303, '/operator/policy']);
    expect((await app.inject({ method: 'POST', url: '/operator/texts/use' })).statusCode).toBe(422);
  });

  test('is not run if the count has changed since the page was shown; the page has the new count', async () => {
    tenants = 4;
    const response = await post({ confirm: 'drop 3', reason: 'cleanup' });
    expect(response.statusCode).toBe(422);
    expect(response.body).toContain('<code>drop 4</code>');
    tenants = 0;
    expect((await post({ confirm: 'drop 3', reason: 'cleanup' })).statusCode).toBe(404);
    expect(done).toEqual([]);
  });
});
