/** Reads a response in one pass, in constant memory. */
export interface ResponseReading {
  /**
   * Reads a chunk and returns the index after the last byte it read: the whole chunk, or with `stopAtEventEnd` up to the
   * end of the first event that ends in it.
   */
  push(chunk: Buffer, stopAtEventEnd: boolean): number;
  /** The response has ended. */
  end(): void;
  /** The last figures of the response have arrived. */
  readonly isComplete: boolean;
  /** The response can be ended after the bytes that were read. */
  readonly isBetweenEvents: boolean;
  /** Bytes of text that were delivered, with the part of a value that has arrived. */
  deliveredBytes(): number;
}
