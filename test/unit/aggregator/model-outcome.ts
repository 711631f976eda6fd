import type { Sent } from './model-log.ts';

/** The sums of all stored events, and of the totals of each level. */
export interface State {
  readonly requests: readonly number[];
  readonly units: readonly number[];
  readonly tokens: readonly number[];
  readonly reserved: readonly number[];
  readonly deadOffsets: readonly number[];
}

/**
 * Returns the result of reading all records once, in order, without copies and without a fault. A correction that is earlier in the
 * log than its event is applied directly after the event, and is a dead letter if there is no event.
 */
export function expectedOf(log: readonly Sent[]): State {
  const events = new Map<string, number>();
  const known = new Set<string>();
  const calls = new Map<number, { tokens: number; number: number; open: boolean }>();
  const early = new Map<string, { readonly item: Sent; readonly offset: number }[]>();
  const deadOffsets: number[] = [];
  log.forEach((item, offset) => {
    if (isBroken(log, offset)) deadOffsets.push(offset);
    if (item.kind === 'request') events.set(`r${item.id}`, 1);
    if (item.kind === 'reserve' && !calls.has(item.id)) {
      calls.set(item.id, { tokens: 100, number: 0, open: true });
      applyEarly(`c${item.id}`);
    }
    if (item.kind === 'meter' && !known.has(`m${item.id}`)) {
      known.add(`m${item.id}`);
      events.set(`m${item.id}`, item.units);
      applyEarly(`m${item.id}`);
    }
    correct(item, offset);
  });
  for (const waiting of early.values()) deadOffsets.push(...waiting.map(({ offset }) => offset));
  const units = [...events.values()].reduce((sum, value) => sum + value, calls.size);
  const tokens = [...calls.values()].reduce((sum, call) => sum + call.tokens, 0);
  const reserved = [...calls.values()].reduce((sum, call) => sum + (call.open ? call.tokens : 0), 0);
  const onEachLevel = (value: number): number[] => Array<number>(4).fill(value);
  return {
    requests: onEachLevel(events.size + calls.size),
    units: onEachLevel(units),
    tokens: onEachLevel(tokens),
    reserved: onEachLevel(reserved),
    deadOffsets: deadOffsets.sort((a, b) => a - b),
  };

  function applyEarly(name: string): void {
    const waiting = early.get(name) ?? [];
    early.delete(name);
    for (const { item, offset } of waiting) correct(item, offset);
  }

  function correct(item: Sent, offset: number): void {
    if (item.kind === 'settle') {
      const call = calls.get(item.id);
      // A settlement without a number counts by the order of the log.
      if (call === undefined) wait(`c${item.id}`, item, offset);
      else if (item.number === 0 || item.number >= call.number) {
        Object.assign(call, { tokens: item.tokens, number: Math.max(item.number, call.number), open: false });
      }
    }
    if (item.kind !== 'amend' && item.kind !== 'void') return;
    if (!known.has(`m${item.id}`)) wait(`m${item.id}`, item, offset);
    else if (item.kind === 'void') events.delete(`m${item.id}`);
    else events.set(`m${item.id}`, item.units);
  }

  function wait(name: string, item: Sent, offset: number): void {
    early.set(name, [...(early.get(name) ?? []), { item, offset }]);
  }
}

function isBroken(log: readonly Sent[], offset: number): boolean {
  const item = log[offset];
  return item?.kind === 'copy' ? isBroken(log, item.of % offset) : item?.kind === 'broken';
}
