import type { ApiFormat, UsageFormat } from '../../../../shared/domain/usage/format.ts';
import { anthropicMessages } from './anthropic-messages.ts';
import { openaiChat } from './openai-chat.ts';
import { openaiCompletions } from './openai-completions.ts';
import { openaiEmbeddings } from './openai-embeddings.ts';
import { openaiResponses } from './openai-responses.ts';
import { policyFormat } from './policy-format.ts';
import type { ReportFormat } from './report-format.ts';

const apiFormats: Readonly<Record<ApiFormat, ReportFormat>> = {
  openai_chat: openaiChat,
  openai_completions: openaiCompletions,
  openai_responses: openaiResponses,
  openai_embeddings: openaiEmbeddings,
  anthropic_messages: anthropicMessages,
};

/** Formats of the policy, compiled at their first call. An entry lasts as long as its policy. */
const compiled = new WeakMap<UsageFormat, ReportFormat>();

export function reportFormatOf(format: UsageFormat): ReportFormat {
  if (format.kind !== 'json' && format.kind !== 'header') return apiFormats[format.kind];
  let report = compiled.get(format);
  if (report === undefined) {
    report = policyFormat(format);
    compiled.set(format, report);
  }
  return report;
}
