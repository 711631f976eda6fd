import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { mountTmpfs } from '../disk.ts';

const logger = join(import.meta.dirname, '../../../shared/runtime/logger.ts');
const program = `
const { createLogger } = await import(${JSON.stringify(logger)});
const log = createLogger('test', 'info');
for (let line = 0; line < 20; line += 1) log.info('x'.repeat(10_000));
setTimeout(() => { log.info('the end'); process.exit(7); }, 20);`;

test('a log on a full disk neither ends a service nor prevents its end', async () => {
  const disk = await mountTmpfs({ bytes: 256 * 1024 });
  onTestFinished(() => disk.dispose());
  const output = openSync(join(disk.path, 'log'), 'a');
  await disk.inject('full');
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', output, 'inherit'],
    timeout: 30_000,
  });
  closeSync(output);
  expect(await once(child, 'exit')).toEqual([7, null]);
});
