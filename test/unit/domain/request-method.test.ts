import { expect, test } from 'vitest';
import { readMethod } from '../../../shared/domain/request/request-method.ts';
import { compileRequests } from '../../../shared/policy/file/requests.ts';

const strict = compileRequests();
const honouring = compileRequests({ method_override: 'honour' });

test.each([
  ['GET', 'GET'],
  ['post', 'POST'],
  ['M-SEARCH', 'M-SEARCH'],
])('%s is decided about as %s', (method, served) => {
  expect(readMethod(method, {}, strict)).toBe(served);
});

test.each(['', 'GET /', 'G\tET', 'A'.repeat(33), '-', 'É'])('%s is no method', (method) => {
  expect(readMethod(method, {}, strict)).toMatchObject({ status: 400 });
});

test.each(['x-http-method-override', 'x-http-method', 'x-method-override'])(
  '%s cannot change the method that was decided about',
  (name) => {
    expect(readMethod('POST', { [name]: 'DELETE' }, strict)).toMatchObject({
      status: 400,
      detail: `${name} names another method than the request: send the request with that method.`,
    });
    expect(readMethod('POST', { [name]: 'post' }, strict)).toBe('POST');
  },
);

test('where the upstream honours an override, a POST is decided about as the method it names', () => {
  expect(readMethod('POST', { 'x-http-method-override': 'delete' }, honouring)).toBe('DELETE');
  expect(readMethod('GET', { 'x-http-method-override': 'DELETE' }, honouring)).toMatchObject({ status: 400 });
  const two = { 'x-http-method-override': 'DELETE', 'x-http-method': 'PUT' };
  expect(readMethod('POST', two, honouring)).toMatchObject({ status: 400 });
  expect(readMethod('POST', { 'x-http-method': ['PUT', 'GET'] }, honouring)).toMatchObject({ status: 400 });
});
