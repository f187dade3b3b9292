import { readSync } from 'node:fs'
import { fileError } from '../../os/errno.ts'

/** An archive's bytes, for its reader. */
export interface ArchiveFile {
  readonly sizeBytes: number
  /**
   * Reads up to `count` bytes at an offset into `buffer`; returns how many there were, fewer
   * only at the end. Blocks the thread until they have arrived.
   */
  read(buffer: Buffer, offset: number, count: number): number
  /** No byte before this offset is asked for again. */
  pass(offset: number): void
  /** The furthest offset that was passed. */
  readonly passedBytes: number
}

/** An archive that is on disk to its last byte. */
export function wholeFile(fd: number, sizeBytes: number): ArchiveFile {
  let passedBytes = 0
  return {
    sizeBytes,
    read: (buffer, offset, count) =>
      readFully(fd, buffer, offset, Math.min(count, sizeBytes - offset)),
    pass: (offset) => {
      passedBytes = Math.max(passedBytes, offset)
    },
    get passedBytes() {
      return passedBytes
    },
  }
}

/** Reads `count` bytes at an offset of an open file, fewer only at its end. */
export function readFully(fd: number, buffer: Buffer, offset: number, count: number): number {
  try {
    let filled = 0
    while (filled < count) {
      const read = readSync(fd, buffer, filled, count - filled, offset + filled)
      if (read === 0) break
      filled += read
    }
    return filled
  } catch (error) {
    throw fileError(error, 'reading the downloaded archive')
  }
}
