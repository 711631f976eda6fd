/** The package has no types of its own. */
declare module 'snappyjs' {
  export function uncompress(compressed: Buffer, bytesMax: number): Buffer;
  export function compress(bytes: Buffer): Buffer;
}
