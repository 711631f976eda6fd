import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressPart, idPart, tags, windowField } from '../../../shared/redis/keys.ts';

test('an id part holds nothing that a key could trip over, and differs for different ids', () => {
  const seed = Date.now() % 1_000_000;
  console.log(`ids: fast-check seed ${seed}`);
  const id = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 80 }),
    fc.string({ maxLength: 400 }),
    fc.constantFrom('~', '=g', '{', '}'),
  );
  fc.assert(
    fc.property(id, id, (one, two) => {
      expect(idPart(one)).toMatch(/^[~\w.@-]{1,64}$/);
      expect(idPart(one) === idPart(two)).toBe(one === two);
      expect(tags.tenant(one)).not.toBe(tags.global);
    }),
    { seed, numRuns: 1000 },
  );
});

test('ordinary ids stay readable', () => {
  expect(tags.tenant('acme-corp.eu_1@x')).toBe('{acme-corp.eu_1@x}');
});

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001-db8-1-2_64'],
  ['2001:db8:1:2::', '2001-db8-1-2_64'],
  ['2001:DB8:1:3::1', '2001-db8-1-3_64'],
  ['fe80::1%eth0', 'fe80-0-0-0_64'],
])('E1: %s counts as %s', (ip, part) => expect(addressPart(ip)).toBe(part));

test('what is no address is an id like any other', () => {
  expect(addressPart('unknown')).toBe('unknown');
  expect(addressPart('1.2.3.4, {evil}')).toMatch(/^~/);
});

test('a window is named by limit, span and route, never by how much it allows', () => {
  expect(windowField('minute', '60000', null)).toBe('minute:60000');
  expect(windowField('chat', '60000', 'POST /a')).not.toBe(windowField('chat', '60000', 'POST /b'));
});
