import { randomBytes } from 'node:crypto';
import { spoolRunName } from '../../../shared/domain/spool-run.ts';
import type { RunStart } from './numbers.ts';

/** The text of an event with the run and the number it got, as its first two attributes. */
export type Stamp = (event: object, sequence: number) => string;

/**
 * Names this run of the folder. The folder's own name is made with it and kept in it: whoever loses the folder loses
 * the name too, and its numbers, which begin at 1 again, belong to another series.
 */
export function createStamp(folder: string, openedAtMs: number, { first, follows }: RunStart): Stamp {
  const run = spoolRunName({ folder, openedAtMs, salt: randomBytes(2).toString('hex'), first, follows });
  // In front, so that a dead letter that holds only the beginning of its event still tells which one it was.
  const head = `{"spool":"${run}","spoolsequence":`;
  return (event, sequence) => `${head}${sequence},${JSON.stringify(event).slice(1)}`;
}
