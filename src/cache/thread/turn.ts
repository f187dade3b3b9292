/** Bytes read in one go before others get their turn on this thread (some 5 ms). */
export const TURN_BYTES = 8 * 1024 * 1024

/** Lets the other calls of this thread go on. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
