/**
 * How far a part of an archive has arrived, in memory shared by the thread that fetches it, the
 * thread that reads it and the one that steers both. Offsets are those of the archive.
 */
export interface Arrival {
  readonly memory: SharedArrayBuffer
  /** All bytes from the part's beginning up to here are in the file. */
  readonly reachedBytes: number
  /** Where the reader is; it has no use for bytes far ahead of that. */
  positionBytes: number
  reach(offset: number): void
  /** No further byte will come; wakes the reader. */
  stop(): void
  /** Blocks until the byte at an offset has arrived; false where it will not. */
  await(offset: number): boolean
}

/** Places in the shared memory. */
const REACHED = 0
const POSITION = 1
/** `-1` in place of the bytes reached: stopped. */
const STOPPED = -1n

/** A part that begins at an offset, none of which is there. */
export function newArrival(offset: number): Arrival {
  const arrival = arrivalAt(new SharedArrayBuffer(2 * BigInt64Array.BYTES_PER_ELEMENT))
  arrival.reach(offset)
  arrival.positionBytes = offset
  return arrival
}

export function arrivalAt(memory: SharedArrayBuffer): Arrival {
  const words = new BigInt64Array(memory)
  const set = (value: bigint): void => {
    Atomics.store(words, REACHED, value)
    Atomics.notify(words, REACHED)
  }
  return {
    memory,
    get reachedBytes() {
      return Number(Atomics.load(words, REACHED))
    },
    get positionBytes() {
      return Number(Atomics.load(words, POSITION))
    },
    set positionBytes(offset) {
      Atomics.store(words, POSITION, BigInt(offset))
    },
    reach: (offset) => {
      const before = Atomics.load(words, REACHED)
      if (before === STOPPED || before === BigInt(offset)) return
      // Whoever stops it meanwhile is not overwritten.
      if (Atomics.compareExchange(words, REACHED, before, BigInt(offset)) === before)
        Atomics.notify(words, REACHED)
    },
    stop: () => set(STOPPED),
    await: (offset) => {
      for (;;) {
        const reached = Atomics.load(words, REACHED)
        if (reached === STOPPED) return false
        if (reached > BigInt(offset)) return true
        Atomics.wait(words, REACHED, reached)
      }
    },
  }
}
