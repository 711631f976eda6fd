import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { RequestReading } from '../../domain/request/request-reading.ts';

const choice = <const Choices extends string[]>(choices: [...Choices], description: string) =>
  Type.Optional(Type.Enum(choices, { description }));

const closed = { additionalProperties: false };

/** The key `requests` of a policy file. */
export const requestsFile = Type.Object(
  {
    encoded_slash: choice(
      ['refuse', 'text'],
      'refuse, or text where the upstream takes %2F for a part of a segment',
    ),
    backslash: choice(
      ['refuse', 'text'],
      'refuse, or text where the upstream takes "\\" and %5C for parts of a segment',
    ),
    control_characters: choice(
      ['refuse', 'text'],
      'refuse, or text where the upstream takes %00 to %1F and %7F for parts of a segment',
    ),
    double_encoding: choice(
      ['refuse', 'text'],
      'refuse (where it changes the route), or text where everything behind Tollgate decodes a path once',
    ),
    parameters: choice(
      ['refuse', 'text', 'strip'],
      'refuse (where they change the route), text where ";" is a character like others to the upstream, or strip where its routes match without ";name=value"',
    ),
    letter_case: choice(
      ['refuse', 'sensitive', 'insensitive'],
      'refuse (where case changes the route), sensitive or insensitive, as the upstream matches its routes',
    ),
    double_slash: choice(
      ['merge', 'keep'],
      'merge ("//" is one slash), or keep where the upstream tells them apart',
    ),
    underscore_headers: choice(
      ['drop', 'pass'],
      'drop, or pass where the upstream needs fields with "_" in their names',
    ),
    method_override: choice(
      ['refuse', 'honour'],
      'refuse, or honour where the upstream takes the method of a POST from X-HTTP-Method-Override',
    ),
  },
  {
    ...closed,
    description: 'how the upstream reads requests: { encoded_slash?, parameters?, letter_case?, … }',
  },
);

type RequestsFile = Static<typeof requestsFile>;

export function compileRequests(file: RequestsFile = {}): RequestReading {
  return {
    encodedSlash: file.encoded_slash ?? 'refuse',
    backslash: file.backslash ?? 'refuse',
    controlCharacters: file.control_characters ?? 'refuse',
    doubleEncoding: file.double_encoding ?? 'refuse',
    parameters: file.parameters ?? 'refuse',
    letterCase: file.letter_case ?? 'refuse',
    doubleSlash: file.double_slash ?? 'merge',
    underscoreHeaders: file.underscore_headers ?? 'drop',
    methodOverride: file.method_override ?? 'refuse',
  };
}
