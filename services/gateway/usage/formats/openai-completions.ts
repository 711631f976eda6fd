import { judgeReport } from '../figures/judge-report.ts';
import { PointerNode } from '../json/pointers.ts';
import { ChoicesProgress, choicesLabels } from './choices-progress.ts';
import { openaiFigures, openaiReport, openaiUsage } from './openai-usage.ts';
import type { ReportFormat } from './report-format.ts';
import { labels, texts } from './select.ts';

/** OpenAI's legacy completions. */
export const openaiCompletions: ReportFormat = {
  body: PointerNode.of([...openaiUsage, ...labels({ model: '/model' }), ...texts(['/choices/*/text'])]),
  event: PointerNode.of([...openaiUsage, ...choicesLabels, ...texts(['/choices/*/text'])]),
  figures: openaiFigures,
  judge: (reported, evidence) => judgeReport(openaiReport(reported), true, evidence),
  createProgress: () =>
    new ChoicesProgress({ object: 'text_completion', choice: { text: '', logprobs: null } }),
};
