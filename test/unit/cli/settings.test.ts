import { expect, test } from 'vitest';
import { runCli } from '../../../services/cli/cli.ts';

const unused = (): never => {
  throw new Error('the command must not call a server');
};

test.each(['minute= ', 'minute=5=6', 'minute=-5', 'minute=1e3', 'minute=0x10', 'minute=', '=5', 'minute'])(
  'the override “%s” is refused before any call',
  async (pair) => {
    for (const args of [
      ['limit', 'acme', pair],
      ['set', 'acme', '--limits', pair],
    ]) {
      let err = '';
      const code = await runCli({
        ...{ args, installation: unused, kafka: unused, clickhouse: unused, actor: 'kim', nowMs: 0 },
        version: '1.2.3',
        out: () => undefined,
        err: (text) => void (err += text),
      });
      expect([code, err]).toEqual([2, expect.stringContaining('is not a limit')]);
    }
  },
);
