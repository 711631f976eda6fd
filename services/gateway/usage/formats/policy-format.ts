import type { UsageFormat } from '../../../../shared/domain/usage/format.ts';
import { pointerTokens } from '../../../../shared/domain/usage/format.ts';
import { judgeMeasures } from '../figures/judge-measures.ts';
import { PointerNode } from '../json/pointers.ts';
import type { Selection } from '../json/pointers.ts';
import { plainProgress } from './plain-progress.ts';
import type { ReportFormat } from './report-format.ts';

type PolicyFormat = Extract<UsageFormat, { kind: 'json' | 'header' }>;

/** A format of the policy: the measures are the policy's, and their figures are numbered. */
export function policyFormat(format: PolicyFormat): ReportFormat {
  const figuresOf = new Map<string, readonly string[]>();
  const selections: Selection[] = [];
  if (format.kind === 'header') {
    for (const measure of Object.keys(format.measures)) figuresOf.set(measure, [figureName(measure, 0)]);
  } else {
    for (const [measure, pointers] of Object.entries(format.measures)) {
      const figures = pointers.map((pointer, index) => figureOf(measure, index, pointer));
      figuresOf.set(
        measure,
        figures.map(({ name }) => name),
      );
      selections.push(...figures);
    }
  }
  if (format.kind === 'json' && format.responseModel !== null) {
    selections.push({
      path: pointerTokens(format.responseModel),
      name: 'model',
      kind: 'value',
      bytesMax: 512,
    });
  }
  const selected = PointerNode.of(selections);
  return {
    body: selected,
    event: selected,
    figures: new Set([...figuresOf.values()].flat()),
    judge: (reported, evidence) => judgeMeasures(sums(figuresOf, reported), evidence),
    createProgress: () => plainProgress,
  };
}

function figureOf(measure: string, index: number, pointer: string): Selection {
  return { path: pointerTokens(pointer), name: figureName(measure, index), kind: 'value' };
}

/** The name of a figure: a measure and the number of its pointer. A space keeps it apart from `model`. */
export function figureName(measure: string, index: number): string {
  return `${measure} ${index}`;
}

function sums(
  figuresOf: ReadonlyMap<string, readonly string[]>,
  reported: ReadonlyMap<string, number>,
): ReadonlyMap<string, number | undefined> {
  const measures = new Map<string, number | undefined>();
  for (const [measure, names] of figuresOf) {
    const values = names.map((name) => reported.get(name)).filter((value) => value !== undefined);
    measures.set(measure, values.length === 0 ? undefined : values.reduce((sum, value) => sum + value));
  }
  return measures;
}
