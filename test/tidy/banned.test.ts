import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { eventuallyMs } from '../support/servers.ts';
import { nodesOf, placeOf, typeScriptFiles } from './sources.ts';

interface Ban {
  readonly what: string;
  readonly instead: string;
  /** Files to which the ban applies. */
  readonly within: RegExp;
  /** Files that match `within` and to which the ban does not apply. */
  readonly except?: RegExp;
  readonly matches: (node: ts.Node) => boolean;
}

const shipped = /^(services|shared)\//;
const entries = /(^|\/)main\.ts$|^shared\/runtime\/lifecycle\.ts$/;
const testNames = new Set(['test', 'it', 'describe', 'suite', 'bench']);

const bans: readonly Ban[] = [
  {
    what: 'process.env, process.exit, process.on',
    instead: 'read, exit and listen in main.ts, and pass what it found as an argument',
    within: shipped,
    except: entries,
    matches: (node) => /^process\.(env|exit|exitCode|on|once)$/.test(memberOf(node)),
  },
  {
    what: 'console',
    instead: 'log through the Logger that was passed in',
    within: shipped,
    except: /^services\/cli\/|^services\/console\/assets\//,
    matches: (node) => /^console\.\w+$/.test(memberOf(node)),
  },
  {
    what: 'a variable after the service has started',
    instead: 'declare it above runService: what the service calls meanwhile would find it uninitialized',
    within: /(^|\/)main\.ts$/,
    matches: (node) => ts.isVariableStatement(node) && followsStart(node),
  },
  {
    what: 'the clock in the domain',
    instead: 'take the time as an argument (nowMs), so that a test can turn it',
    within: /^shared\/(domain|policy)\//,
    matches: (node) =>
      memberOf(node) === 'Date.now' ||
      (ts.isNewExpression(node) && node.expression.getText() === 'Date' && !node.arguments?.length),
  },
  {
    what: 'a plural after any number',
    instead: "write counted(number, 'request'): 1 request, 2 requests",
    within: /^(services|shared|packages)\//,
    matches: (node) =>
      ts.isTemplateSpan(node) &&
      /^ (requests|tenants|events|decisions|keys|rows|users|targets|records|calls)\b/.test(
        node.literal.text,
      ) &&
      !/Max\b/.test(node.expression.getText()),
  },
  {
    what: 'Math.random',
    instead:
      'ids: uuid v7 or node:crypto; jitter: a random source passed in; tests: fast-check with its seed',
    within: /^(services|shared|test)\//,
    except: /^test\/(bench|support)\//,
    matches: (node) => memberOf(node) === 'Math.random',
  },
  {
    what: 'sleeping in a test',
    instead: 'wait for the thing itself: eventually of test/support, or expect.poll',
    within: /^test\//,
    except: /^test\/(bench|support|faults)\//,
    matches: isSleep,
  },
  {
    what: 'a deadline that a loaded machine misses',
    instead:
      'leave it out: a wait ends with its success, so a shorter deadline than the default saves nothing',
    within: /^test\/(integration|clients|browser|hostile|upgrade)\//,
    matches: isShortWait,
  },
  {
    what: 'a test left out or alone (.only, .skip, .todo)',
    instead: 'run it, or delete it',
    within: /^test\//,
    matches: (node) => {
      const [name, modifier] = memberOf(node).split('.');
      return testNames.has(name ?? '') && /^(only|skip|todo|skipIf|runIf)$/.test(modifier ?? '');
    },
  },
  {
    what: 'as any',
    instead: 'narrow from unknown, or name the type',
    within: /\.ts$/,
    matches: (node) => ts.isAsExpression(node) && node.type.kind === ts.SyntaxKind.AnyKeyword,
  },
  {
    what: 'a default export',
    instead: 'export it by its name',
    within: /^(services|shared|dashboards|dev)\//,
    matches: (node) => ts.isExportAssignment(node),
  },
  {
    what: 'a re-export (barrel)',
    instead: 'import from the file that defines it; `export type … from` a library is allowed',
    within: /^(services|shared)\//,
    matches: (node) =>
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier !== undefined &&
      (!node.isTypeOnly || node.moduleSpecifier.getText().includes("'.")),
  },
];

describe('banned calls', () => {
  test.each(bans)('$what', ({ within, except, matches, instead }) => {
    const findings: string[] = [];
    for (const path of typeScriptFiles) {
      if (!within.test(path) || except?.test(path) === true) continue;
      for (const node of nodesOf(path)) if (matches(node)) findings.push(`${placeOf(node)}: ${instead}`);
    }
    expect(findings).toEqual([]);
  });
});

/** True for a top-level statement that follows the first `await` statement at the top level of its file. */
function followsStart(node: ts.Statement): boolean {
  if (!ts.isSourceFile(node.parent)) return false;
  const { statements } = node.parent;
  const start = statements.findIndex(
    (statement) => ts.isExpressionStatement(statement) && ts.isAwaitExpression(statement.expression),
  );
  return start !== -1 && statements.indexOf(node) > start;
}

/** Returns `a.b` for a property access, otherwise an empty text. */
function memberOf(node: ts.Node): string {
  if (!ts.isPropertyAccessExpression(node) || !ts.isIdentifier(node.expression)) return '';
  return `${node.expression.text}.${node.name.text}`;
}

/** `eventually` or `expect.poll` with a deadline that is not above the default, or a wait of vitest, whose default is 1 s. */
function isShortWait(node: ts.Node): boolean {
  if (/^vi\.wait(For|Until)$/.test(memberOf(node))) return true;
  if (!ts.isCallExpression(node) || !/^(eventually|expect\.poll)$/.test(node.expression.getText()))
    return false;
  const deadline = /\btimeout(?:Ms)?: ([\d_]+)/.exec(node.arguments[1]?.getText() ?? '')?.[1];
  return deadline !== undefined && Number(deadline.replaceAll('_', '')) <= eventuallyMs;
}

/** `new Promise((resolve) => setTimeout(resolve, …))` with nothing else in it, or the promised setTimeout of Node. */
function isSleep(node: ts.Node): boolean {
  if (ts.isImportDeclaration(node)) return /timers\/promises/.test(node.moduleSpecifier.getText());
  if (!ts.isNewExpression(node) || node.expression.getText() !== 'Promise') return false;
  return /^\(?\w+\)?\s*=>\s*\{?\s*(void )?setTimeout\(\w+,[^,)]*\)\s*;?\s*\}?$/.test(
    node.arguments?.[0]?.getText() ?? '',
  );
}
