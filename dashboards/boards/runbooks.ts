import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicDashboard } from './sources.ts';
import { PanelBuilder as TextBuilder, TextMode } from '@grafana/grafana-foundation-sdk/text';
import { runbookUid } from './sources.ts';

const runbookDir = join(import.meta.dirname, '../../docs/runbooks');

/** Names of the runbooks: the files of docs/runbooks without extension. */
export function runbookNames(): string[] {
  return readdirSync(runbookDir)
    .filter((file) => file.endsWith('.md') && file !== 'README.md')
    .map((file) => file.slice(0, -'.md'.length))
    .toSorted();
}

/** A runbook as a dashboard, so that the link of an alert opens in any Grafana. */
export function runbookDashboard(name: string): ClassicDashboard {
  const markdown = readFileSync(join(runbookDir, `${name}.md`), 'utf8');
  const title = /^# (.+)$/m.exec(markdown)?.[1] ?? name;
  return new ClassicDashboard(`Runbook / ${title}`)
    .uid(runbookUid(name))
    .tags(['tollgate-runbook'])
    .readonly()
    .withPanel(
      // Grafana would replace `${…}` by a variable of the dashboard.
      new TextBuilder().title(title).mode(TextMode.Markdown).content(markdown).span(24).height(28),
    );
}
