import { readFile } from 'node:fs/promises';

/**
 * Prints `N passed, N failed`. The arguments name reports of vitest's JSON reporter. A test file that could not run
 * counts as one failure. Exits with 1 if a test failed or a report is missing.
 */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly success: boolean;
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly unknown[] }[];
}

const reports = await Promise.all(process.argv.slice(2).map(readReport));
const passed = reports.reduce((sum, report) => sum + report.numPassedTests, 0);
const failed = reports.reduce((sum, report) => sum + report.numFailedTests + unrunFiles(report), 0);
console.log(`${passed} passed, ${failed} failed`);
const complete = reports.every(({ success, numPassedTests }) => success && numPassedTests > 0);
process.exitCode = complete && reports.length > 0 && failed === 0 ? 0 : 1;

function unrunFiles({ testResults }: Report): number {
  return testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0,
  ).length;
}

async function readReport(path: string): Promise<Report> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Report;
  } catch (error) {
    console.log(`there is no report of the tests: ${String(error)}`);
    return { numPassedTests: 0, numFailedTests: 1, success: false, testResults: [] };
  }
}
