import type { Gunzip, InflateRaw } from 'node:zlib'
import type { ArchiveFile } from './archive-file.ts'
import { CHUNK_BYTES } from './file-chunks.ts'

/**
 * Feeds the bytes [from, to) of an archive to a decompressor, which works in a thread of its
 * own while the caller handles what it has given out. Failures to read destroy it, and so
 * arrive where its output is read. A piece is valid until the next is asked for. The
 * decompressor must give out pieces of `CHUNK_BYTES`.
 */
export function inflateRange<D extends Gunzip | InflateRaw>(
  decompressor: D,
  file: ArchiveFile,
  from: number,
  to: number,
): AsyncIterator<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  let at = from
  const feed = (): void => {
    if (decompressor.destroyed) return
    try {
      file.pass(at)
      const read = file.read(buffer, at, Math.min(CHUNK_BYTES, to - at))
      at += read
      if (read === 0) decompressor.end()
      // The callback comes when all of the buffer is used: only then it is filled again.
      else decompressor.write(buffer.subarray(0, read), (error) => void (error ?? feed()))
    } catch (error) {
      decompressor.destroy(error instanceof Error ? error : new Error(String(error)))
    }
  }
  const pieces: AsyncIterator<Buffer> = decompressor[Symbol.asyncIterator]()
  let last: Buffer | undefined
  feed()
  return {
    next: async () => {
      if (last !== undefined) release(last)
      const next = await pieces.next()
      last = next.done === true ? undefined : next.value
      return next
    },
    return: () => pieces.return?.() ?? Promise.resolve({ done: true, value: undefined }),
  }
}

/**
 * Frees the memory of a piece at once: the collector, to which a buffer looks small, would let
 * some 64 MiB of them gather. A piece that ends before its memory does is followed by another
 * one in it.
 */
function release({ buffer, byteOffset, length }: Buffer): void {
  if (byteOffset + length === CHUNK_BYTES && buffer.byteLength === CHUNK_BYTES)
    if (buffer instanceof ArrayBuffer) buffer.transfer(0)
}
