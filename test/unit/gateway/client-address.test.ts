import { expect, test } from 'vitest';
import { createClientAddress } from '../../../services/gateway/client-address.ts';

const addressOf = createClientAddress(['127.0.0.0/8', '10.0.0.0/8', '::1/128', 'fd00::/8']);

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
  expect(addressOf(remote, forwarded)).toBe(expected);
});

test('without trusted proxies no header is believed, not even from this machine', () => {
  expect(createClientAddress([])('127.0.0.1', '1.1.1.1')).toBe('127.0.0.1');
});
