import { pointerTokens } from '../../../../shared/domain/usage/format.ts';
import { PointerMatcher, PointerNode } from '../json/pointers.ts';
import { JsonTokenizer } from '../json/tokenizer.ts';

/** The strings that a JSON pointer selects in a text; more than one if a name is repeated. Null: not JSON. */
export function stringsAt(pointer: string, body: Buffer, bytesMax: number): readonly string[] | null {
  const found: string[] = [];
  const selection = { path: pointerTokens(pointer), name: 'value', kind: 'value', bytesMax } as const;
  const matcher = new PointerMatcher(PointerNode.of([selection]), {
    value: (_name, text, isString) => {
      if (isString && text !== null) found.push(text);
    },
    text: () => undefined,
    open: () => undefined,
    close: () => undefined,
  });
  const tokenizer = new JsonTokenizer(matcher);
  matcher.begin(tokenizer);
  tokenizer.push(body, 0, body.length, 0);
  tokenizer.end(body.length);
  return tokenizer.isComplete ? found : null;
}
