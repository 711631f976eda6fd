import { expect, test } from 'vitest';
import { isLocalName } from '../../../shared/runtime/http/loopback-host.ts';

test.each([
  [undefined, true],
  ['127.0.0.1:8082', true],
  ['127.0.0.1', true],
  ['10.0.0.7:8082', true],
  ['[::1]:8082', true],
  ['[::1]', true],
  ['localhost:8082', true],
  ['LocalHost', true],
  ['tollgate.localhost:8082', true],
  ['console:8082', true],
  ['rebound.example:8082', false],
  ['rebound.example.', false],
  ['127.0.0.1.rebound.example', false],
  ['localhost.rebound.example', false],
  ['notlocalhost.example', false],
  ['[rebound.example]', false],
  ['127.0.0.1@rebound.example', false],
  ['rebound.example:80:80', false],
])('on a loopback address the host %s is accepted: %s', (host, accepted) => {
  expect(isLocalName(host)).toBe(accepted);
});
