import type { ContentPart } from '../../../../shared/domain/usage/format.ts';

/** The kind of content that the `type` of an object announces. */
const partsByType: ReadonlyMap<string, ContentPart> = new Map([
  ['image', 'image'],
  ['image_url', 'image'],
  ['input_image', 'image'],
  ['input_audio', 'audio'],
  ['audio_url', 'audio'],
  ['video_url', 'file'],
  ['input_video', 'file'],
  ['file', 'file'],
  ['input_file', 'file'],
  ['document', 'file'],
  ['item_reference', 'stored_context'],
]);

/** Members whose value may be base64. */
export const mediaNames: ReadonlySet<string> = new Set([
  'data',
  'file_data',
  'url',
  'image_url',
  'audio_url',
  'video_url',
]);

/** A shorter text is cheaper to count than to examine. */
const mediaBytesMin = 64;

const dataUrl = /^data:[^,"\\]{0,100};base64,/i;
const dataUrlBytesMax = 128;

const isBase64 = new Uint8Array(256);
for (const byte of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\\'))
  isBase64[byte] = 1;

/** Whether the bytes of a string, without its quotes, are base64 or a `data:` URL with base64. */
export function isMedia(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < mediaBytesMin) return false;
  const prefix = dataUrl.exec(bytes.toString('latin1', start, Math.min(end, start + dataUrlBytesMax)));
  for (let at = start + (prefix?.[0].length ?? 0); at < end; at += 1) {
    if (isBase64[bytes[at] ?? 0] !== 1) return false;
  }
  return true;
}

/** An object that is open, and the base64 that its members contain. */
interface OpenObject {
  types: string[];
  mediaBytes: number;
  media: number;
}

/** Finds the parts of a request whose tokens cannot be estimated from bytes: images, audio, files. */
export class MediaParts {
  /** Bytes that seemed to be base64 and are text. */
  textBytes = 0;
  readonly #parts = new Map<ContentPart, number>();
  #media = 0;
  readonly #open: (OpenObject | null)[] = [];

  open(isArray: boolean): void {
    this.#open.push(isArray ? null : { types: [], mediaBytes: 0, media: 0 });
  }

  type(text: string | null): void {
    if (text !== null) this.#open.at(-1)?.types.push(text);
  }

  addMedia(bytes: number): void {
    const object = this.#open.at(-1);
    if (object === undefined || object === null) return;
    object.mediaBytes += bytes;
    object.media += 1;
  }

  addPart(part: ContentPart): void {
    this.#parts.set(part, (this.#parts.get(part) ?? 0) + 1);
  }

  close(): void {
    const object = this.#open.pop();
    if (object === undefined || object === null) return;
    // An object can state that its `data` is text, whatever the data looks like.
    if (object.types.includes('text')) this.textBytes += object.mediaBytes;
    else this.#media += object.media;
    const part = object.types.map((type) => partsByType.get(type)).find((kind) => kind !== undefined);
    if (part !== undefined) this.addPart(part);
  }

  /** Tokens of all parts. Base64 outside of a known part counts as the most expensive part. */
  tokens(partTokens: Readonly<Record<ContentPart, number>>): number {
    let tokens = 0;
    let parts = 0;
    for (const [part, count] of this.#parts) {
      tokens += partTokens[part] * count;
      if (part !== 'stored_context') parts += count;
    }
    const unknown = Math.max(this.#media - parts, 0);
    return tokens + unknown * Math.max(partTokens.image, partTokens.audio, partTokens.file);
  }
}
