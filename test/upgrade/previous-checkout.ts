import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * The version from which the test upgrades. `TOLLGATE_PREVIOUS` names another commit or tag. After a release, this is the tag of
 * the release.
 */
const previous = process.env['TOLLGATE_PREVIOUS'] ?? 'adae8fa9b93b8950178a72ae2dd0fb0004b249a3';

export const repository = join(import.meta.dirname, '../..');

/** The services of the previous version from the history of this repository, with the packages of that version. */
export interface PreviousCheckout {
  readonly dir: string;
  remove(): Promise<void>;
}

export async function checkOutPrevious(): Promise<PreviousCheckout> {
  await run('git', ['cat-file', '-e', `${previous}^{commit}`], { cwd: repository }).catch(
    (cause: unknown) => {
      throw new Error(
        `This test upgrades from the commit ${previous}, which is not in the history of this clone. Run "git fetch --unshallow" in a ` +
          'shallow clone, or name a commit or tag of the previous version in TOLLGATE_PREVIOUS.',
        { cause },
      );
    },
  );
  const dir = await mkdtemp(join(tmpdir(), 'tollgate-previous-'));
  const archive = join(dir, 'previous.tar');
  const files = ['services', 'shared', 'package.json', 'package-lock.json', '.npmrc'];
  await run('git', ['archive', '--output', archive, previous, ...files], { cwd: repository });
  await run('tar', ['-xf', archive, '-C', dir]);
  const flags = ['--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  await run('npm', ['ci', ...flags], { cwd: dir, timeout: 280_000 });
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}
