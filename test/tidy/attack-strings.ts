import { RegExpParser } from '@eslint-community/regexpp';
import type { AST } from '@eslint-community/regexpp';

/**
 * A text that makes a backtracking matcher slow: `prefix`, then `pump` many times, then `suffix`, which cannot match.
 */
export interface Attack {
  readonly prefix: string;
  readonly pump: string;
  readonly suffix: string;
}

/** Repetitions up to this bound cannot make a match slow. */
const repeatsMax = 64;
const suffixesMax = 6;
const everyday = Array.from('aZ0 -_.,:;=/@<>"\'&\t\n\u00e9');

/**
 * Returns texts that may make one pattern slow. The prefix leads the matcher to an unbounded repetition. The pump is a
 * text that the repetition matches: a single character, a pair of characters, or a sample of its whole content. The
 * suffix is chosen so that the match fails as late as possible. The same texts without the prefix find patterns that
 * start their search again at every character.
 */
export function attacksOn(expression: RegExp): readonly Attack[] {
  const alphabet = [...new Set([...literalsOf(expression.source), ...everyday])];
  const sampler = createSampler(expression.flags, alphabet);
  const attacks = new Map<string, Attack>();
  const add = (attack: Attack): void =>
    void attacks.set(JSON.stringify([attack.prefix, attack.pump, attack.suffix]), attack);
  for (const { element, lead, tail } of repetitions(parse(expression), sampler.sampleOf)) {
    const accepted = alphabet.filter((character) => sampler.takes(element, character));
    const left = ['\u0000', '\n', ...alphabet].filter((character) => !accepted.includes(character));
    const suffixes = ['', '\u0000', ...left.slice(0, suffixesMax)];
    const pumps = [
      ...accepted,
      ...accepted.slice(0, 6).flatMap((one) => accepted.slice(0, 6).map((two) => one + two)),
    ];
    for (const pump of [
      ...new Set([...pumps, sampler.sampleOf(element), lead + sampler.sampleOf(element)]),
    ]) {
      if (pump === '') continue;
      for (const prefix of new Set([lead, ''])) {
        for (const suffix of suffixes) add({ prefix, pump, suffix });
        add({ prefix, pump, suffix: `${tail}\u0000` });
      }
    }
  }
  return [...attacks.values()];
}

export function textOfAttack({ prefix, pump, suffix }: Attack, length: number): string {
  return prefix + pump.repeat(Math.ceil(length / pump.length)) + suffix;
}

interface Repetition {
  readonly element: AST.Node;
  readonly lead: string;
  readonly tail: string;
}

interface Sampler {
  /** Returns a short text that the node matches. */
  readonly sampleOf: (node: AST.Node) => string;
  readonly takes: (node: AST.Node, text: string) => boolean;
}

function parse({ source, flags }: RegExp): AST.Pattern {
  return new RegExpParser().parsePattern(source, 0, source.length, {
    unicode: flags.includes('u'),
    unicodeSets: flags.includes('v'),
  });
}

/** Returns every repetition without a small bound, with sample texts of the pattern before and after it. */
function repetitions(pattern: AST.Pattern, sampleOf: Sampler['sampleOf']): readonly Repetition[] {
  const found: Repetition[] = [];
  const visit = (alternatives: readonly AST.Alternative[], lead: string, tail: string): void => {
    for (const { elements } of alternatives) {
      for (const [index, node] of elements.entries()) {
        const before = lead + elements.slice(0, index).map(sampleOf).join('');
        const behind =
          elements
            .slice(index + 1)
            .map(sampleOf)
            .join('') + tail;
        const inner = node.type === 'Quantifier' ? node.element : node;
        if (node.type === 'Quantifier' && node.max > repeatsMax)
          found.push({ element: inner, lead: before, tail: behind });
        if ('alternatives' in inner) visit(inner.alternatives, before, behind);
      }
    }
  };
  visit(pattern.alternatives, '', '');
  return found;
}

function createSampler(flags: string, alphabet: readonly string[]): Sampler {
  const known = new Map<string, RegExp>();
  const plainFlags = flags.replaceAll(/[gy]/g, '');
  const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index));
  return { sampleOf, takes };

  function takes({ raw }: AST.Node, text: string): boolean {
    const whole = known.get(raw) ?? new RegExp(`^(?:${raw})$`, plainFlags);
    known.set(raw, whole);
    return whole.test(text);
  }

  function sampleOf(node: AST.Node): string {
    switch (node.type) {
      case 'Quantifier':
        return sampleOf(node.element).repeat(node.min);
      case 'Group':
      case 'CapturingGroup':
        return sampleOf(node.alternatives[0] as AST.Node);
      case 'Alternative':
        return node.elements.map(sampleOf).join('');
      case 'Assertion':
      case 'Backreference':
        return '';
      default:
        return [...alphabet, ...printable].find((character) => takes(node, character)) ?? '';
    }
  }
}

/**
 * Returns the characters that the source of a pattern contains, including its syntax: additional characters do no harm.
 */
function literalsOf(source: string): readonly string[] {
  return [...new Set(source)].filter((character) => character !== '\\');
}
