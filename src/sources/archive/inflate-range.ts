import type { Gunzip, InflateRaw } from 'node:zlib'
import { CHUNK_BYTES, readAt } from './file-chunks.ts'

/**
 * Feeds the bytes [from, to) of an open file to a decompressor, which works in a thread of its
 * own while the caller handles what it has given out. Failures to read destroy it, and so
 * arrive where its output is read.
 */
export function inflateRange<D extends Gunzip | InflateRaw>(
  decompressor: D,
  fd: number,
  from: number,
  to: number,
): AsyncIterator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  let at = from
  const feed = (): void => {
    if (decompressor.destroyed) return
    try {
      const read = readAt(fd, buffer, at, Math.min(CHUNK_BYTES, to - at))
      at += read
      if (read === 0) decompressor.end()
      // The callback comes when all of the buffer is used: only then it is filled again.
      else decompressor.write(buffer.subarray(0, read), (error) => void (error ?? feed()))
    } catch (error) {
      decompressor.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  }
  const pieces: AsyncIterator<Buffer> = decompressor[Symbol.asyncIterator]()
  feed()
  return pieces
}
