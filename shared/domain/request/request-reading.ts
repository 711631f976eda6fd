/**
 * How the upstream reads the parts of a path that servers read differently. With the value `refuse`, a request gets the status 400 if the upstream could serve it as another route than the one that Tollgate charges.
 */
export interface RequestReading {
  /** `%2F`: a separator of segments (nginx, Go, WSGI), or a character of a segment (`text`). */
  readonly encodedSlash: 'refuse' | 'text';
  /** `\` and `%5C`: separators of segments (URL parsers, Windows), or characters of a segment (`text`). */
  readonly backslash: 'refuse' | 'text';
  /** `%00` to `%1F` and `%7F`: the end of the path for some servers, or characters of a segment (`text`). */
  readonly controlCharacters: 'refuse' | 'text';
  /**
   * `%25` followed by two hex digits: decoded twice if a proxy in front of the server also decodes, or a percent sign
   * (`text`).
   */
  readonly doubleEncoding: 'refuse' | 'text';
  /**
   * `;name=value`: ignored by the router (`strip`: servlet containers, Spring), or characters of the segment
   * (`text`).
   */
  readonly parameters: 'refuse' | 'text' | 'strip';
  /** Letter case: `/Chat` is the same path as `/chat` (`insensitive`: Express, ASP.NET), or a different path. */
  readonly letterCase: 'refuse' | 'sensitive' | 'insensitive';
  /** `//`: the same as one slash (`merge`), or an empty segment (`keep`). */
  readonly doubleSlash: 'merge' | 'keep';
  /** Whether header fields with `_` in their name are forwarded. CGI and WSGI treat `_` and `-` in names as equal. */
  readonly underscoreHeaders: 'drop' | 'pass';
  /** Whether the upstream uses the method that X-HTTP-Method-Override or a similar field names. */
  readonly methodOverride: 'refuse' | 'honour';
}
