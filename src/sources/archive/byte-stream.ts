/** Where a stream's bytes come from, a chunk at a time. */
export interface ChunkSource {
  /** The next bytes, at least one; undefined at the end. Valid until the next call. */
  next(): Promise<Buffer | undefined> | Buffer | undefined
  /** Passes over up to `count` bytes without reading them; returns how many. */
  skip?(count: number): number
}

/** Bytes read strictly forward, as an archive's parser wants them. */
export interface ByteStream {
  /** How many bytes were taken or passed over. */
  readonly position: number
  /** The next `count` bytes, fewer only at the end. Valid until the next call. */
  take(count: number): Promise<Buffer>
  /** The next `count` bytes if they are at hand; undefined, and nothing taken, otherwise. */
  takeNow(count: number): Buffer | undefined
  /** Between one and `max` bytes, none only at the end. Valid until the next call. */
  some(max: number): Promise<Buffer>
  /** Passes over `count` bytes; returns how many there were. */
  skip(count: number): Promise<number>
}

const NOTHING = Buffer.alloc(0)

export function byteStream(source: ChunkSource): ByteStream {
  let chunk: Buffer = NOTHING
  let at = 0
  let position = 0

  const refill = async (): Promise<boolean> => {
    const next = await source.next()
    chunk = next ?? NOTHING
    at = 0
    return next !== undefined
  }
  const consume = (max: number): Buffer => {
    const piece = chunk.subarray(at, Math.min(chunk.length, at + max))
    at += piece.length
    position += piece.length
    return piece
  }
  return {
    get position() {
      return position
    },
    take: async (count) => {
      if (chunk.length - at >= count) return consume(count)
      // The chunk's memory may be used again for the next one.
      const whole = Buffer.allocUnsafe(count)
      let filled = 0
      while (filled < count && (at < chunk.length || (await refill())))
        filled += consume(count - filled).copy(whole, filled)
      return whole.subarray(0, filled)
    },
    takeNow: (count) => (chunk.length - at >= count ? consume(count) : undefined),
    some: async (max) => {
      if (at === chunk.length) await refill()
      return consume(max)
    },
    skip: async (count) => {
      let left = count - consume(count).length
      if (left > 0 && source.skip !== undefined) {
        const skipped = source.skip(left)
        position += skipped
        left -= skipped
      }
      while (left > 0 && (at < chunk.length || (await refill()))) left -= consume(left).length
      return count - left
    },
  }
}
