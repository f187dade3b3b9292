import { writeSync } from 'node:fs'

/** Writes all of a buffer at an offset, however many calls it takes; returns its length. */
export function writeAllSync(fd: number, bytes: Buffer, offset: number): number {
  for (let at = 0; at < bytes.length; )
    at += writeSync(fd, bytes, at, bytes.length - at, offset + at)
  return bytes.length
}
