import { pointerTokens } from '../../../../shared/domain/usage/format.ts';
import type { JsonSink, JsonTokenizer } from './tokenizer.ts';

/** A step of a path that matches every element of an array. */
const anyElement = Symbol('any element');

export type Path = readonly (string | typeof anyElement)[];

/** A value that is read from a JSON text, and the name under which the receiver gets it. */
export interface Selection {
  readonly path: Path;
  readonly name: string;
  /** `value`: the text of a string, number or literal. `text`: only the number of bytes of a string. */
  readonly kind: 'value' | 'text';
  /** Longest source of the value in bytes, 64 by default. */
  readonly bytesMax?: number;
}

export interface SelectionReceiver {
  /** `text` is null if the value is longer than its bound. */
  value(name: string, text: string | null, isString: boolean): void;
  text(name: string, bytes: number): void;
  /** An object or array begins at a selected path. */
  open(name: string, isArray: boolean): void;
  close(name: string): void;
}

/** A JSON pointer in which `*` matches every element of an array. */
export function pathOf(pattern: string): Path {
  return pointerTokens(pattern).map((token) => (token === '*' ? anyElement : token));
}

/** The tree of all selected paths. */
export class PointerNode {
  readonly children = new Map<string, PointerNode>();
  any: PointerNode | null = null;
  readonly names: string[] = [];
  isText = false;
  /** Longest source of a name that can match: one character needs at most 6 bytes. */
  nameBytesMax = 0;
  valueBytesMax = 0;

  static of(selections: readonly Selection[]): PointerNode {
    const root = new PointerNode();
    for (const { path, name, kind, bytesMax = 64 } of selections) {
      let node = root;
      for (const step of path) node = node.#child(step);
      node.names.push(name);
      if (kind === 'text') node.isText = true;
      else node.valueBytesMax = Math.max(node.valueBytesMax, bytesMax);
    }
    return root;
  }

  #child(step: string | typeof anyElement): PointerNode {
    if (step === anyElement) return (this.any ??= new PointerNode());
    let child = this.children.get(step);
    if (child === undefined) {
      child = new PointerNode();
      this.children.set(step, child);
      this.nameBytesMax = Math.max(this.nameBytesMax, 6 * step.length, 1);
    }
    return child;
  }
}

interface Level {
  readonly node: PointerNode;
  readonly isArray: boolean;
  /** Number of elements of the array that have begun. */
  elements: number;
}

/** Passes the selected values of a JSON text to a receiver. Parts of the text without a selection are skipped. */
export class PointerMatcher implements JsonSink {
  readonly #root: PointerNode;
  readonly #receiver: SelectionReceiver;
  readonly #levels: Level[] = [];
  #tokenizer: JsonTokenizer | null = null;
  /** The node of the next value; null if no selection matches it. */
  #next: PointerNode | null;
  /** Number of open objects and arrays that no selection matches. */
  #skipped = 0;

  constructor(root: PointerNode, receiver: SelectionReceiver) {
    this.#root = root;
    this.#receiver = receiver;
    this.#next = root;
  }

  /** Begins a text. `tokenizer` is the one that calls this sink. */
  begin(tokenizer: JsonTokenizer): void {
    this.#tokenizer = tokenizer;
    this.#levels.length = 0;
    this.#skipped = 0;
    this.#next = this.#root;
    tokenizer.nameBytesMax = 0;
    tokenizer.valueBytesMax = this.#root.valueBytesMax;
  }

  /** True if the bytes of the next or the current value count as text. */
  get isText(): boolean {
    return this.#next?.isText === true;
  }

  open(isArray: boolean): void {
    const node = this.#next;
    if (this.#skipped > 0 || node === null) {
      this.#skipped += 1;
      this.#request(0, 0);
      return;
    }
    this.#levels.push({ node, isArray, elements: 0 });
    for (const name of node.names) this.#receiver.open(name, isArray);
    this.#expectValue();
  }

  close(): void {
    if (this.#skipped > 0) {
      this.#skipped -= 1;
      if (this.#skipped === 0) this.#expectValue();
      return;
    }
    const level = this.#levels.pop();
    for (const name of level?.node.names ?? []) this.#receiver.close(name);
    this.#expectValue();
  }

  name(text: string | null): void {
    if (this.#skipped > 0) return;
    const node = this.#levels.at(-1)?.node;
    this.#next = text === null ? null : (node?.children.get(text) ?? null);
    this.#request(node?.nameBytesMax ?? 0, this.#next?.valueBytesMax ?? 0);
  }

  string(text: string | null, textBytes: number): void {
    if (this.#skipped > 0) return;
    const node = this.#next;
    if (node !== null) {
      for (const name of node.names) {
        if (node.isText) this.#receiver.text(name, textBytes);
        else this.#receiver.value(name, text, true);
      }
    }
    this.#expectValue();
  }

  scalar(text: string | null): void {
    if (this.#skipped > 0) return;
    const node = this.#next;
    if (node !== null && !node.isText) {
      for (const name of node.names) this.#receiver.value(name, text, false);
    }
    this.#expectValue();
  }

  /** Finds the node of the value that follows. The value of a member has none until its name was read. */
  #expectValue(): void {
    const level = this.#levels.at(-1);
    if (level === undefined) {
      this.#next = null;
      return;
    }
    const { node, isArray } = level;
    this.#next = null;
    if (isArray) {
      this.#next = node.any ?? (node.children.size === 0 ? null : elementOf(node, level.elements));
      level.elements += 1;
    }
    this.#request(isArray ? 0 : node.nameBytesMax, this.#next?.valueBytesMax ?? 0);
  }

  #request(nameBytesMax: number, valueBytesMax: number): void {
    if (this.#tokenizer === null) return;
    this.#tokenizer.nameBytesMax = nameBytesMax;
    this.#tokenizer.valueBytesMax = valueBytesMax;
  }
}

function elementOf(node: PointerNode, index: number): PointerNode | null {
  return node.children.get(String(index)) ?? null;
}
