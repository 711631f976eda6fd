import fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressPart, idPart, tags, windowField } from '../../../shared/redis/keys.ts';

test('an id part contains no character with a meaning in keys, and differs for different ids', () => {
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

test('plain ids are used unchanged', () => {
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

test('a text that is no address is treated as an id', () => {
  expect(addressPart('unknown')).toBe('unknown');
  expect(addressPart('1.2.3.4, {evil}')).toMatch(/^~/);
});

test('the field of a window depends on name, span and route, and not on the number of units', () => {
  expect(windowField('minute', '60000', null)).toBe('minute:60000');
  expect(windowField('chat', '60000', 'POST /a')).not.toBe(windowField('chat', '60000', 'POST /b'));
});
