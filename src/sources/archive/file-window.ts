import type { ArchiveFile } from './archive-file.ts'
import { CHUNK_BYTES } from './file-chunks.ts'

/** Small reads at any offset of a file, served from one large read where they lie close. */
export interface FileWindow {
  /** The bytes at an offset, fewer only at the file's end. Valid until the next call. */
  bytes(offset: number, count: number): Buffer
}

export function fileWindow(file: ArchiveFile): FileWindow {
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  let start = 0
  let filled = 0
  return {
    bytes: (offset, count) => {
      if (count > CHUNK_BYTES) {
        const whole = Buffer.allocUnsafeSlow(count)
        return whole.subarray(0, file.read(whole, offset, count))
      }
      if (offset < start || offset + count > start + filled) {
        start = offset
        filled = file.read(buffer, offset, CHUNK_BYTES)
      }
      return buffer.subarray(offset - start, Math.min(offset - start + count, filled))
    },
  }
}
