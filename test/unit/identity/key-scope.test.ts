// Goal: a key with a scope sends no request outside of it, in whichever way a server reads the request.
import { describe, expect, test } from 'vitest';
import { isUnreadable, readTarget } from '../../../shared/domain/request/request-target.ts';
import { compileScope } from '../../../shared/identity/key-scope.ts';
import { policyOf } from '../policy/text.ts';

const reading = policyOf({}).requests;

function allows(routes: readonly string[] | undefined, method: string, path: string): boolean {
  const target = readTarget(path, reading);
  if (isUnreadable(target)) throw new Error(target.detail);
  const scope = { permissions: ['requests'], ...(routes === undefined ? {} : { routes }) };
  return compileScope(scope).allowsRequest(method, target);
}

describe('the routes of a scope', () => {
  test.each([
    ['GET', '/v1', true],
    ['GET', '/v1/a/b?x=1', true],
    ['GET', '/%761/a', true],
    ['HEAD', '/v1/a', true],
    ['POST', '/v1/a', false],
    ['POST', '/chat/7', true],
    ['POST', '/chat/7/8', false],
    ['DELETE', '/any/thing', true],
    ['GET', '/', false],
    ['GET', '/V1/a', false],
    ['GET', '/v1/../admin', false],
    ['GET', '/admin/../v1/a', false],
  ])('%s %s: %s', (method, path, expected) => {
    expect(allows(['GET /v1/**', 'POST /chat/*', '* /any/*'], method, path)).toBe(expected);
  });

  test('without routes every request is allowed; without the permission, or with an invalid pattern, none', () => {
    expect(allows(undefined, 'GET', '/x')).toBe(true);
    expect(allows(['no pattern'], 'GET', '/x')).toBe(false);
    const target = readTarget('/x', reading);
    if (isUnreadable(target)) throw new Error(target.detail);
    for (const permissions of [['usage'], ['of_a_later_version']])
      expect(compileScope({ permissions }).allowsRequest('GET', target)).toBe(false);
  });
});
