import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { isErrno } from '../os/errno.ts'

const PIECE_BYTES = 1024 * 1024

/**
 * Writes every byte of the log that an earlier process left once more, in place, and flushes
 * it. That process may have ended because a flush failed: then the log in memory is whole and
 * the one on disk is not, and no later flush of these pages would say so. In place, so that it
 * needs no space; and before it is folded into the database, which a power cut may interrupt.
 */
export function rewriteLog(path: string): void {
  let fd: number
  try {
    fd = openSync(path, 'r+')
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
    throw error
  }
  try {
    const piece = Buffer.allocUnsafe(PIECE_BYTES)
    for (let at = 0; ; ) {
      const read = readSync(fd, piece, 0, PIECE_BYTES, at)
      if (read === 0) break
      writeAll(fd, piece.subarray(0, read), at)
      at += read
    }
    fdatasyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** Some hundred small transactions: what mounting and releasing need until space is found. */
const RESERVE_BYTES = 2 * 1024 * 1024

/**
 * Makes the log so long that small transactions find room in it when the disk is full. Bytes
 * beyond what was committed are no part of the log to SQLite, which overwrites them. Where
 * there is no room even now, the log stays as short as it is.
 */
export function reserveLog(fd: number): void {
  try {
    const { size } = fstatSync(fd)
    if (size >= RESERVE_BYTES) return
    writeAll(fd, Buffer.alloc(RESERVE_BYTES - size), size)
    fdatasyncSync(fd)
  } catch (error) {
    if (!isErrno(error, 'ENOSPC') && !isErrno(error, 'EDQUOT')) throw error
  }
}

function writeAll(fd: number, bytes: Buffer, at: number): void {
  for (let done = 0; done < bytes.length; )
    done += writeSync(fd, bytes, done, bytes.length - done, at + done)
}
