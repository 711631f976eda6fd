import { Type } from 'typebox';
import type { Static } from 'typebox';
import type { RequestReading } from '../../domain/request/request-reading.ts';
import { closed } from './schema-parts.ts';

const choice = <const Choices extends string[]>(choices: [...Choices], description: string) =>
  Type.Optional(Type.Enum(choices, { description }));

/** The value of `requests` in a policy file. */
export const requestsFile = Type.Object(
  {
    encoded_slash: choice(
      ['refuse', 'text'],
      'refuse, or text if the upstream reads %2F as part of a segment',
    ),
    backslash: choice(
      ['refuse', 'text'],
      'refuse, or text if the upstream reads "\\" and %5C as part of a segment',
    ),
    control_characters: choice(
      ['refuse', 'text'],
      'refuse, or text if the upstream reads %00 to %1F and %7F as part of a segment',
    ),
    double_encoding: choice(
      ['refuse', 'text'],
      'refuse (if it changes the route), or text if every server behind Tollgate decodes a path once',
    ),
    parameters: choice(
      ['refuse', 'text', 'strip'],
      'refuse (if they change the route), text if ";" is an ordinary character for the upstream, or strip if its routes match without ";name=value"',
    ),
    letter_case: choice(
      ['refuse', 'sensitive', 'insensitive'],
      'refuse (if case changes the route), sensitive or insensitive, as the upstream matches its routes',
    ),
    double_slash: choice(
      ['merge', 'keep'],
      'merge ("//" is one slash), or keep if the upstream reads "//" as an empty segment',
    ),
    underscore_headers: choice(
      ['drop', 'pass'],
      'drop, or pass if the upstream needs header fields with "_" in their names',
    ),
    method_override: choice(
      ['refuse', 'honour'],
      'refuse, or honour if the upstream reads the method of a POST from X-HTTP-Method-Override',
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
