import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicDashboard } from './sources.ts';
import { PanelBuilder as TextBuilder, TextMode } from '@grafana/grafana-foundation-sdk/text';
import { runbookUid } from './sources.ts';

const runbookDir = join(import.meta.dirname, '../../docs/runbooks');

/** Names of the runbooks: files of docs/runbooks without their ending. */
export function runbookNames(): string[] {
  return readdirSync(runbookDir)
    .filter((file) => file.endsWith('.md') && file !== 'README.md')
    .map((file) => file.slice(0, -'.md'.length))
    .toSorted();
}

/** Each runbook as a page in Grafana itself, so that an alert's link opens wherever Grafana runs. */
export function runbookDashboard(name: string): ClassicDashboard {
  const markdown = readFileSync(join(runbookDir, `${name}.md`), 'utf8');
  const title = /^# (.+)$/m.exec(markdown)?.[1] ?? name;
  return new ClassicDashboard(`Runbook / ${title}`)
    .uid(runbookUid(name))
    .tags(['tollgate-runbook'])
    .readonly()
    .withPanel(
      // Grafana would take `${…}` for a variable of the dashboard.
      new TextBuilder().title(title).mode(TextMode.Markdown).content(markdown).span(24).height(28),
    );
}
