import { readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

/**
 * Prints every test that failed, with its error, and then `N passed, N failed`. The arguments name reports of vitest's
 * JSON reporter. A test file that could not run counts as one failure. Exits with 1 if a test failed or a report is
 * missing.
 */
interface Report {
  readonly numPassedTests: number;
  readonly success: boolean;
  readonly testResults: readonly TestFile[];
}

interface TestFile {
  /** Absolute path. */
  readonly name: string;
  readonly status: string;
  /** Why the file could not run. */
  readonly message: string;
  readonly assertionResults: readonly Test[];
}

interface Test {
  readonly fullName: string;
  readonly status: string;
  readonly failureMessages: readonly string[] | null;
}

const ERROR_LINES_MAX = 12;

const reports = await Promise.all(process.argv.slice(2).map(readReport));
const passed = reports.reduce((sum, { numPassedTests }) => sum + numPassedTests, 0);
const failures = reports.flatMap(({ testResults }) => testResults.flatMap(failuresOf));
for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${passed} passed, ${failures.length} failed`);
const complete = reports.every(({ success, numPassedTests }) => success && numPassedTests > 0);
process.exitCode = complete && reports.length > 0 && failures.length === 0 ? 0 : 1;

function failuresOf({ name, status, message, assertionResults }: TestFile): string[] {
  const path = relative(process.cwd(), name);
  if (status === 'failed' && assertionResults.length === 0) return [`${path}\n${shortened(message)}`];
  return assertionResults
    .filter((test) => test.status === 'failed')
    .map(
      ({ fullName, failureMessages }) =>
        `${path} > ${fullName}\n${(failureMessages ?? []).map(shortened).join('\n')}`,
    );
}

function shortened(message: string): string {
  const lines = stripVTControlCharacters(message).split('\n').slice(0, ERROR_LINES_MAX);
  return lines.map((line) => `    ${line}`).join('\n');
}

async function readReport(path: string): Promise<Report> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Report;
  } catch (error) {
    const missing = { name: path, status: 'failed', message: String(error), assertionResults: [] };
    return { numPassedTests: 0, success: false, testResults: [missing] };
  }
}
