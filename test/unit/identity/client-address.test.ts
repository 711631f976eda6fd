import { expect, test } from 'vitest';
import { createClientAddresses, verifiedChain } from '../../../shared/identity/client-address.ts';

const { addressFor, trusts } = createClientAddresses(['127.0.0.0/8', '10.0.0.0/8', '::1/128', 'fd00::/8']);

test.each([
  ['no header', '203.0.113.9', undefined, '203.0.113.9'],
  ['one trusted proxy', '127.0.0.1', '203.0.113.9', '203.0.113.9'],
  ['a chain of trusted proxies', '127.0.0.1', '203.0.113.9, 10.1.2.3', '203.0.113.9'],
  ['a spoofed entry left of the real one', '127.0.0.1', '1.1.1.1, 203.0.113.9', '203.0.113.9'],
  ['a header from an untrusted peer', '203.0.113.9', '1.1.1.1', '203.0.113.9'],
  ['nonsense from an untrusted peer', '203.0.113.9', 'not an address', '203.0.113.9'],
  ['nonsense behind a trusted proxy', '127.0.0.1', '1.1.1.1, rubbish', '127.0.0.1'],
  ['only trusted proxies', '127.0.0.1', '10.0.0.5', '10.0.0.5'],
  ['IPv4 written as IPv6', '::ffff:127.0.0.1', '203.0.113.9', '203.0.113.9'],
  ['IPv4 written as IPv6, without a header', '::ffff:203.0.113.9', undefined, '203.0.113.9'],
  ['an IPv6 peer in a trusted block', 'fd00::7', '2001:db8::1', '2001:db8::1'],
  ['a port after the address', '127.0.0.1', '203.0.113.9:5678', '203.0.113.9'],
  ['a port after an IPv6 address', '127.0.0.1', '[2001:db8::1]:5678', '2001:db8::1'],
  ['an empty header', '127.0.0.1', '', '127.0.0.1'],
  ['10,000 entries', '127.0.0.1', '1.1.1.1,'.repeat(10_000) + '203.0.113.9', '203.0.113.9'],
])('the client behind %s', (_what, remote, forwarded, expected) => {
  expect(addressFor(remote, forwarded)).toBe(expected);
});

test('without trusted proxies no header is trusted, not even from this machine', () => {
  expect(createClientAddresses([]).addressFor('127.0.0.1', '1.1.1.1')).toBe('127.0.0.1');
});

test.each([
  ['127.0.0.1', true],
  ['::ffff:127.0.0.1', true],
  ['::ffff:203.0.113.9', false],
  ['203.0.113.9', false],
  ['fd00::7', true],
  ['', false],
])('the peer %s is trusted: %s', (remote, expected) => {
  expect(trusts(remote)).toBe(expected);
  expect(createClientAddresses([]).trusts(remote)).toBe(false);
});

test.each([
  ['203.0.113.9', '203.0.113.9'],
  ['1.1.1.1, 203.0.113.9,10.1.2.3', '203.0.113.9, 10.1.2.3'],
  ['203.0.113.9, 1.1.1.1, 203.0.113.9:80, 10.1.2.3', '203.0.113.9:80, 10.1.2.3'],
  ['1.1.1.1, rubbish', ''],
])('of the chain %s what stands left of the caller is dropped', (chain, expected) => {
  expect(verifiedChain(chain, '203.0.113.9')).toBe(expected);
});
