import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ClassicDashboard } from './sources.ts';
import { PanelBuilder as TextBuilder, TextMode } from '@grafana/grafana-foundation-sdk/text';
import { runbookUid } from './sources.ts';
import { settings } from '../settings.ts';

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
      new TextBuilder()
        .title(title)
        .description('What the alert means, what to check first, and how to repair it.')
        .mode(TextMode.Markdown)
        .content(withGrafanaLinks(markdown))
        .span(24)
        .height(28),
    );
}

/** Links between runbooks as links between their dashboards: Grafana has no files. */
function withGrafanaLinks(markdown: string): string {
  return markdown.replaceAll(
    /\]\(([\w-]+)\.md\)/g,
    (_, name: string) => `](${settings.grafanaUrl}/d/${runbookUid(name)})`,
  );
}
