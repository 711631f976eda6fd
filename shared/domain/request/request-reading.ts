/**
 * How the upstream reads what servers read differently. `refuse` is the safe value where that is not known: a request
 * that could be served as another than it was charged as gets a 400.
 */
export interface RequestReading {
  /** `%2F` ends a segment (nginx, Go, WSGI), or is a part of it (`text`). */
  readonly encodedSlash: 'refuse' | 'text';
  /** `\` and `%5C` are slashes to URL parsers and to Windows, or parts of a segment. */
  readonly backslash: 'refuse' | 'text';
  /** `%00` to `%1F` and `%7F` end a path for some servers, or are parts of a segment. */
  readonly controlCharacters: 'refuse' | 'text';
  /** `%25` before two hex digits is an escape to servers behind a proxy that decodes, or a percent sign. */
  readonly doubleEncoding: 'refuse' | 'text';
  /** `;name=value` takes no part in routing (`strip`: servlet containers, Spring), or is a part of the segment. */
  readonly parameters: 'refuse' | 'text' | 'strip';
  /** `/Chat` is `/chat` (Express, ASP.NET), or another path. */
  readonly letterCase: 'refuse' | 'sensitive' | 'insensitive';
  /** `//` is one slash, or holds an empty segment. */
  readonly doubleSlash: 'merge' | 'keep';
  /** Whether fields with `_` in their names are passed on: CGI and WSGI cannot tell it from `-`. */
  readonly underscoreHeaders: 'drop' | 'pass';
  /** Whether X-HTTP-Method-Override and its siblings name the method that is served. */
  readonly methodOverride: 'refuse' | 'honour';
}
