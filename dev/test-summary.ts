import { readFile } from 'node:fs/promises';

/**
 * Prints `N passed, N failed` from the report of vitest's JSON reporter, the one argument. A file of tests that could
 * not run counts as a failure. Exits 1 when anything failed, or when there is no report.
 */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly success: boolean;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

const report = await readReport(process.argv[2] ?? '');
const unrunFiles = report.testResults.filter(
  ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
);
const failed = report.numFailedTests + unrunFiles.length;
console.log(`${report.numPassedTests} passed, ${failed} failed`);
process.exitCode = report.success && failed === 0 && report.numPassedTests > 0 ? 0 : 1;

async function readReport(path: string): Promise<Report> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Report;
  } catch (error) {
    console.log(`there is no report of the tests: ${String(error)}`);
    return { numPassedTests: 0, numFailedTests: 1, success: false, testResults: [] };
  }
}
