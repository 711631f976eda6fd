import { expect } from 'vitest';
import type { Fixture } from './fixture.ts';

/** The parts of a response that a browser uses. */
export interface Page {
  readonly status: number;
  readonly text: string;
  readonly location: string;
  readonly cookie: string;
  readonly headers: Readonly<Record<string, unknown>>;
}

/** Requests a page with all of its parts, as a browser without scripts does. */
export async function get(on: Fixture, url: string, cookie = ''): Promise<Page> {
  return read(await on.consoleApp.inject({ method: 'GET', url: complete(url), headers: { cookie } }));
}

function complete(url: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}wait=1`;
}

/** Requests a page, or a part of a page, as a script of the page does. */
export async function getAsScript(on: Fixture, url: string, cookie = ''): Promise<Page> {
  const headers = { cookie, 'hx-request': 'true' };
  return read(await on.consoleApp.inject({ method: 'GET', url, headers }));
}

/** Sends a form. If the answer is a page, it has all of its parts. */
export async function post(
  on: Fixture,
  url: string,
  form: Record<string, string> | [string, string][],
  cookie = '',
  headers: Record<string, string> = {},
): Promise<Page> {
  const payload = new URLSearchParams(form).toString();
  return read(
    await on.consoleApp.inject({
      method: 'POST',
      url: complete(url),
      payload,
      headers: { cookie, 'content-type': 'application/x-www-form-urlencoded', ...headers },
    }),
  );
}

function read(response: { statusCode: number; body: string; headers: Record<string, unknown> }): Page {
  const set = response.headers['set-cookie'];
  return {
    status: response.statusCode,
    text: response.body,
    location: typeof response.headers['location'] === 'string' ? response.headers['location'] : '',
    cookie: typeof set === 'string' ? set : '',
    headers: response.headers,
  };
}

/** Signs in with a portal link and returns the session cookie. */
export async function visit(on: Fixture, tenantId: string): Promise<string> {
  const page = await get(on, `/sign-in?token=${await on.link(tenantId, 60_000)}`);
  expect(page.status).toBe(303);
  return page.cookie.split(';')[0] ?? '';
}
