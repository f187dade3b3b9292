import { createHash, type Hash } from 'node:crypto'
import { readSync } from 'node:fs'

/** One read: large enough that the call does not count, small enough to stay in the L2 cache. */
const READ_BYTES = 512 * 1024
const buffer = Buffer.allocUnsafeSlow(READ_BYTES)

/** Adds the bytes [from, to) of an open file to a hash; returns where the file ended, if earlier. */
export function hashRangeSync(hash: Hash, fd: number, from: number, to: number): number {
  let at = from
  while (at < to) {
    const read = readSync(fd, buffer, 0, Math.min(READ_BYTES, to - at), at)
    if (read === 0) break
    hash.update(buffer.subarray(0, read))
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
