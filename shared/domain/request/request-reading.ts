/**
 * How the upstream reads paths that servers read differently. `refuse` is the safe value: a request that the upstream
 * could serve as another route than the charged one gets a 400.
 */
export interface RequestReading {
  /** `%2F` separates segments (nginx, Go, WSGI), or is part of a segment (`text`). */
  readonly encodedSlash: 'refuse' | 'text';
  /** `\` and `%5C` separate segments (URL parsers, Windows), or are part of a segment (`text`). */
  readonly backslash: 'refuse' | 'text';
  /** `%00` to `%1F` and `%7F` end the path for some servers, or are part of a segment (`text`). */
  readonly controlCharacters: 'refuse' | 'text';
  /** `%25` before two hex digits is decoded twice behind a proxy that decodes, or is a percent sign (`text`). */
  readonly doubleEncoding: 'refuse' | 'text';
  /** `;name=value` is ignored in routing (`strip`: servlet containers, Spring), or is part of the segment (`text`). */
  readonly parameters: 'refuse' | 'text' | 'strip';
  /** `/Chat` is the same path as `/chat` (`insensitive`: Express, ASP.NET), or another path. */
  readonly letterCase: 'refuse' | 'sensitive' | 'insensitive';
  /** `//` is one slash (`merge`), or holds an empty segment (`keep`). */
  readonly doubleSlash: 'merge' | 'keep';
  /** Whether header fields with `_` in their name are forwarded: CGI and WSGI read `_` and `-` as the same character. */
  readonly underscoreHeaders: 'drop' | 'pass';
  /** Whether X-HTTP-Method-Override and similar fields name the method that is served. */
  readonly methodOverride: 'refuse' | 'honour';
}
