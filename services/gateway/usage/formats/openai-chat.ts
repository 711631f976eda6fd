import { judgeReport } from '../figures/judge-report.ts';
import { PointerNode } from '../json/pointers.ts';
import { ChoicesProgress, choicesLabels } from './choices-progress.ts';
import { openaiFigures, openaiReport, openaiUsage } from './openai-usage.ts';
import type { ReportFormat } from './report-format.ts';
import { labels, texts } from './select.ts';

/**
 * OpenAI's chat completions. `reasoning_content` and `reasoning` are the names under which compatible servers deliver
 * the text of reasoning.
 */
export const openaiChat: ReportFormat = {
  body: PointerNode.of([...openaiUsage, ...labels({ model: '/model' }), ...outputOf('message')]),
  event: PointerNode.of([...openaiUsage, ...choicesLabels, ...outputOf('delta')]),
  figures: openaiFigures,
  judge: (reported, evidence) => judgeReport(openaiReport(reported), true, evidence),
  createProgress: () => new ChoicesProgress({ object: 'chat.completion.chunk', choice: { delta: {} } }),
};

function outputOf(member: 'message' | 'delta') {
  const message = `/choices/*/${member}`;
  return texts([
    `${message}/content`,
    `${message}/content/*/text`,
    `${message}/refusal`,
    `${message}/reasoning_content`,
    `${message}/reasoning`,
    `${message}/audio/transcript`,
    `${message}/function_call/name`,
    `${message}/function_call/arguments`,
    `${message}/tool_calls/*/function/name`,
    `${message}/tool_calls/*/function/arguments`,
    `${message}/tool_calls/*/custom/input`,
  ]);
}
