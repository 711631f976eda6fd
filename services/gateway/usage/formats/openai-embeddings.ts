import { judgeReport } from '../figures/judge-report.ts';
import { PointerNode } from '../json/pointers.ts';
import { openaiFigures, openaiReport, openaiUsage } from './openai-usage.ts';
import { plainProgress } from './plain-progress.ts';
import type { ReportFormat } from './report-format.ts';
import { labels } from './select.ts';

const selected = PointerNode.of([...openaiUsage, ...labels({ model: '/model' })]);

/** OpenAI's embeddings: the vectors are no generated output. */
export const openaiEmbeddings: ReportFormat = {
  body: selected,
  event: selected,
  figures: openaiFigures,
  judge: (reported, evidence) => judgeReport(openaiReport(reported), false, evidence),
  createProgress: () => plainProgress,
};
