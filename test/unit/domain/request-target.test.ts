import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RequestReading } from '../../../shared/domain/request/request-reading.ts';
import { isUnreadable, percentEncoded, readTarget } from '../../../shared/domain/request/request-target.ts';
import type { Target } from '../../../shared/domain/request/target.ts';
import { compileRequests } from '../../../shared/policy/file/requests.ts';

const strict = compileRequests();

function read(raw: string, reading: Partial<RequestReading> = {}): Target {
  const target = readTarget(raw, { ...strict, ...reading });
  if (isUnreadable(target)) throw new Error(`${target.status} ${target.detail}`);
  return target;
}

describe('a target has one normal form', () => {
  test.each([
    ['/', '/', []],
    ['/agent/chat', '/agent/chat', ['agent', 'chat']],
    ['/agent/chat/', '/agent/chat/', ['agent', 'chat']],
    ['/agent/chat?x=%2F&y=/../', '/agent/chat?x=%2F&y=/../', ['agent', 'chat']],
    ['/?x', '/?x', []],
    ['//agent///chat', '/agent/chat', ['agent', 'chat']],
    ['/./a/.', '/a/', ['a']],
    ['/a/../agent/./chat', '/agent/chat', ['agent', 'chat']],
    ['/../../a', '/a', ['a']],
    ['/a/..', '/', []],
    ['/a/b/..', '/a/', ['a']],
    ['/%2e%2E/a', '/a', ['a']],
    ['/.well-known/x', '/.well-known/x', ['.well-known', 'x']],
    ['/...', '/...', ['...']],
    ['/%61gent/%63hat', '/agent/chat', ['agent', 'chat']],
    ['/%7euser', '/~user', ['~user']],
    ['/caf%c3%a9', '/caf%C3%A9', ['café']],
    ['/caf\u00c3\u00a9', '/caf%C3%A9', ['café']],
    ['/a%20b', '/a%20b', ['a b']],
    ['/x%3arun', '/x%3Arun', ['x:run']],
    ['/a|b"<>^`{}[]', '/a%7Cb%22%3C%3E%5E%60%7B%7D%5B%5D', ['a|b"<>^`{}[]']],
    ['/100%25', '/100%25', ['100%']],
    ['/a;b=c/d', '/a;b=c/d', ['a;b=c', 'd']],
    ['http://any.example/agent/chat?x', '/agent/chat?x', ['agent', 'chat']],
    ['HTTPS://any.example:8443/agent/chat', '/agent/chat', ['agent', 'chat']],
    ['http://[::1]:80', '/', []],
    ['http://any.example?x', '/?x', []],
    ['http://any.example//a/../b', '/b', ['b']],
  ])('%s is %s', (raw, text, segments) => {
    expect(read(raw)).toMatchObject({ text, segments });
  });

  test('reading the normal form again changes nothing', () => {
    const piece = fc.constantFrom(
      ...[
        '/',
        '//',
        '.',
        '..',
        'a',
        'B',
        '%61',
        '%2e',
        '%C3%A9',
        '\u00c3\u00a9',
        ';x',
        '%25',
        '%3a',
        '~',
        '|',
        '?q=1',
        '%20',
      ],
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const first = read(`/${pieces.join('')}`, { parameters: 'text' });
        const again = read(first.text, { parameters: 'text' });
        expect(again).toEqual({ ...first, writtenReadings: [], capitals: again.capitals });
        expect(first.path).toMatch(/^\/(?!\/)/);
        expect(first.path).not.toMatch(/\/\.{0,2}\//);
      }),
      { seed: 20_261_126, numRuns: 2_000 },
    );
  });

  test('the host of an absolute form is known, and is no part of what is forwarded', () => {
    expect(read('http://any.example:8080/x').authority).toBe('any.example:8080');
    expect(read('/x').authority).toBeNull();
  });

  test('text beyond ASCII is read as its UTF-8', () => {
    expect(read(percentEncoded('/café/\ud800')).segments).toEqual(['café', '\ufffd']);
  });
});

describe('what servers read differently is refused, with a sentence about it', () => {
  test.each([
    ['/agent%2Fchat', /escaped slash/],
    ['/agent%5cchat', /backslash/],
    ['/agent\\chat', /backslash/],
    ['/agent/chat%00', /control character/],
    ['/agent/chat%0a', /control character/],
    ['/agent/chat\tx', /control character/],
    ['/agent/chat x', /space/],
    ['/agent/chat#x', /"#"/],
    ['/agent/chat?x#y', /"#"/],
    ['/agent/%zz', /begins no escape/],
    ['/agent/chat%', /begins no escape/],
    ['/%c0%af', /not UTF-8/],
    ['/%ff', /not UTF-8/],
    ['/%c3/../a', /not UTF-8/],
    ['/%c3%a', /begins no escape/],
    ['/x/..;/agent/chat', /dot segment with parameters/],
    ['/x/%2e%2e;a=b/agent/chat', /dot segment with parameters/],
    ['/\u2215', /not escaped/],
    ['agent/chat', /neither/],
    ['', /neither/],
    ['?x', /neither/],
    ['any.example:80', /neither/],
    ['ftp://any.example/x', /neither/],
    ['http:///x', /neither/],
    ['http://user:secret@any.example/x', /neither/],
  ])('%s', (raw, detail) => {
    expect(readTarget(raw, strict)).toMatchObject({
      status: 400,
      detail: expect.stringMatching(detail) as unknown,
    });
  });

  test('a target that is longer than a header section may be is a 414', () => {
    expect(readTarget(`/${'a'.repeat(16_384)}`, strict)).toMatchObject({ status: 414 });
    expect(read(`/${'a'.repeat(16_383)}`).segments).toHaveLength(1);
  });

  test.each<[Partial<RequestReading>, string, string, string[]]>([
    [{ encodedSlash: 'text' }, '/a%2fb', '/a%2Fb', ['a/b']],
    [{ backslash: 'text' }, '/a\\b%5c', '/a%5Cb%5C', ['a\\b\\']],
    [{ controlCharacters: 'text' }, '/a%00%7f', '/a%00%7F', ['a\0\u007f']],
    [{ parameters: 'text' }, '/x/..;a/b', '/x/..;a/b', ['x', '..;a', 'b']],
    [{ parameters: 'strip' }, '/x;a=b/;c/y', '/x;a=b/;c/y', ['x', 'y']],
    [{ doubleSlash: 'keep' }, '//a//b/', '//a//b/', ['', 'a', '', 'b']],
  ])('unless the policy says how the upstream reads it: %o', (reading, raw, text, segments) => {
    expect(read(raw, reading)).toMatchObject({ text, segments });
  });

  test('whatever the bytes and the reading, the answer is a target or a sentence', () => {
    const bytes = fc.string({
      unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)),
    });
    const pieces = fc.constantFrom(
      '/',
      '%',
      '%c3',
      '%a9',
      '..',
      ';',
      '%2f',
      '%25',
      '#',
      '?',
      'a',
      '\\',
      '%00',
      'http://',
    );
    const raw = fc.oneof(
      bytes,
      fc.array(pieces, { maxLength: 12 }).map((list) => list.join('')),
    );
    const lax: RequestReading = {
      ...strict,
      encodedSlash: 'text',
      backslash: 'text',
      controlCharacters: 'text',
    };
    const readings = [strict, lax, { ...lax, parameters: 'strip' as const, doubleSlash: 'keep' as const }];
    fc.assert(
      fc.property(raw, fc.constantFrom(...readings), (text, reading) => {
        const target = readTarget(text, reading);
        if (isUnreadable(target)) expect(target.detail).toMatch(/\.$/);
        else expect(target.segments.join('')).toBe(target.segments.join('').toWellFormed());
      }),
      { seed: 20_261_126, numRuns: 5_000 },
    );
  });

  test('16,000 characters of any kind are read in no time', () => {
    const started = performance.now();
    for (const piece of [
      '/',
      '/.',
      '/..',
      ';',
      '%61',
      '%25',
      '/;',
      '%2525',
      '/..;',
      '\u00ff',
      '|',
      '%3a',
      'a',
    ]) {
      readTarget(`/${piece.repeat(16_000 / piece.length)}`, strict);
    }
    expect(performance.now() - started).toBeLessThan(1_000);
  });
});
