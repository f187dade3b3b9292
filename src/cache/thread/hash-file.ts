import { createHash, type Hash } from 'node:crypto'
import { readSync, writeSync } from 'node:fs'

/** One read: large enough that the call does not count, small enough to stay in the L2 cache. */
const READ_BYTES = 512 * 1024
const buffer = Buffer.allocUnsafeSlow(READ_BYTES)

/**
 * Adds the bytes [from, to) of an open file to a hash, and writes them at the same place of
 * `copyFd` where there is one; returns where the file ended, if earlier.
 */
export function hashRangeSync(
  hash: Hash,
  fd: number,
  from: number,
  to: number,
  copyFd?: number,
): number {
  let at = from
  while (at < to) {
    const read = readSync(fd, buffer, 0, Math.min(READ_BYTES, to - at), at)
    if (read === 0) break
    hash.update(buffer.subarray(0, read))
    if (copyFd !== undefined)
      for (let done = 0; done < read; )
        done += writeSync(copyFd, buffer, done, read - done, at + done)
    at += read
  }
  return at
}

/** The SHA-256 of an open file's first `sizeBytes` bytes, in hexadecimal. */
export function hashFileSync(fd: number, sizeBytes: number): { sha256: string; readBytes: number } {
  const hash = createHash('sha256')
  const readBytes = hashRangeSync(hash, fd, 0, sizeBytes)
  return { sha256: hash.digest('hex'), readBytes }
}
