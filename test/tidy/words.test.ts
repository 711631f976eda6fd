import { describe, expect, test } from 'vitest';
import { files, textOf } from './sources.ts';

interface BannedWords {
  /**
   * Single words. They are found in prose and as parts of identifiers: `door` is found in `frontDoor` and `door_id`.
   */
  readonly words?: readonly string[];
  /** Phrases of prose; spaces match line breaks of comments too. */
  readonly phrases?: readonly string[];
  readonly instead: string;
}

const banned: readonly BannedWords[] = [
  { words: ['door', 'doors'], instead: 'entrypoint, or the name of the route' },
  {
    words: ['whoever', 'nobody', 'somebody', 'anybody', 'someone', 'anyone', 'everybody', 'everyone'],
    instead: 'the role that is meant: a client, an operator, every tenant, no process',
  },
  { words: ['tell', 'tells', 'told', 'telling'], instead: 'report, notify, send, state, name' },
  { words: ['knows', 'knew'], instead: 'has, stores, reads' },
  { words: ['ask', 'asks', 'asked', 'asking'], instead: 'call, query, request, send to' },
  {
    words: ['bury', 'buries', 'buried', 'burial', 'burials'],
    instead: 'write to the dead-letter topic; dead letter',
  },
  { words: ['desk'], instead: 'service' },
  { words: ['courier', 'couriers'], instead: 'delivery worker' },
  { words: ['vigil'], instead: 'loss monitor' },
  { words: ['heal', 'heals', 'healed', 'healing', 'healer'], instead: 'restore, restoration, QuotaRestorer' },
  { words: ['stranger', 'strangers'], phrases: ['foreign ids?'], instead: 'external client, external id' },
  { words: ['beat', 'beats', 'pulse'], instead: 'heartbeat; have precedence over' },
  { words: ['bed', 'beds'], instead: 'fixture' },
  { words: ['rejector', 'rejectors'], instead: 'refusing-limit query' },
  { words: ['outlet', 'outlets'], instead: 'batch source' },
  { words: ['stretch', 'stretches'], instead: 'interval' },
  { words: ['seam', 'seams'], instead: 'interface' },
  { phrases: ['puts? aside'], instead: 'move to' },
  { phrases: ['looks? at', 'looked at'], instead: 'read, probe, inspect' },
  { phrases: ['as it came', 'what is left of (it|them)'], instead: 'the name of the thing and its state' },
  { phrases: ['the rest(?= ?[.,;:)])', 'none such', 'such(?= ?[.,;:)])'], instead: 'the noun that is meant' },
  {
    phrases: [
      'what (is|was|it is|it was|they are) (given|taken)',
      'the (given|taken)',
      '(as|if|when|where|those|none|one) (given|taken)',
      // Names of variables.
      '(const|let|readonly) (given|taken)',
    ],
    instead: 'the name of the thing',
  },
];

/** Files that are not checked: generated files, data, licences, and this list. */
const exempt =
  /^(package-lock\.json|LICENSE|CHANGELOG\.md|dashboards\/generated\/|deploy\/helm\/tollgate\/files\/|policies\/schema\.json|test\/hostile\/corpus\/|test\/tidy\/words\.test\.ts)|\.(png|jpg|ico|woff2?|gz|bin)$|go\.sum$|iana-names\.txt$/;

describe('words that are banned in prose and identifiers', () => {
  test.each(banned)('$words $phrases', ({ words = [], phrases = [], instead }) => {
    const singles = new Set(words);
    const pattern =
      phrases.length === 0
        ? null
        : new RegExp(`\\b(${phrases.join('|').replaceAll(' ', '(?: |\\n[ *#/-]*)')})\\b`, 'gi');
    const findings: string[] = [];
    for (const path of files) {
      if (exempt.test(path)) continue;
      const text = textOf(path);
      for (const { 0: word, index } of text.matchAll(/[A-Z]?[a-z]+|[A-Z]+(?![a-z])/g))
        if (singles.has(word.toLowerCase())) findings.push(place(path, text, index, word, instead));
      if (pattern === null) continue;
      for (const { 0: phrase, index } of text.matchAll(pattern))
        findings.push(place(path, text, index, phrase, instead));
    }
    expect(findings).toEqual([]);
  });
});

function place(path: string, text: string, index: number, found: string, instead: string): string {
  const line = text.slice(0, index).split('\n').length;
  return `${path}:${line} “${found.replaceAll(/\s+/g, ' ')}”: ${instead}`;
}
