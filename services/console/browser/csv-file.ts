import type { FastifyReply } from 'fastify';
import { counted } from '../../../shared/domain/text/counted.ts';

/** Last row of a file that does not have all rows. `next` is the address of the file with the remaining rows. */
export function cutRow(rows: number, next: string): string {
  return `"This file was cut after ${counted(rows, 'row')}. The remaining rows: ${next}"\r\n`;
}

/** Sends a CSV file that the browser stores under this name. */
export function sendCsv(reply: FastifyReply, name: string, text: string): FastifyReply {
  return reply
    .header('cache-control', 'no-store')
    .header('content-disposition', `attachment; filename="${name}.csv"`)
    .type('text/csv; charset=utf-8')
    .send(text);
}
