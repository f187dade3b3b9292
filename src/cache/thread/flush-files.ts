import { fsyncSync, readFileSync } from 'node:fs'
import { startWriteback, syncfs } from '../../os/linux.ts'

/**
 * Dirty bytes of others up to which one flush of the whole filesystem is cheaper than one a
 * file; beyond, it would wait for what the jobs of this host write (docs/decisions/0004-flush.md).
 */
const SYNCFS_MAX_FOREIGN_DIRTY_BYTES = 64 * 1024 * 1024
/** Fewer files than this are flushed one by one. */
const SYNCFS_MIN_FILES = 8

/**
 * After `syncfs` reported a failure it cannot be told whose bytes were lost, and a later call
 * may not report it again: from then on this thread flushes every file by itself.
 */
let syncfsTrusted = true

function dirtyBytes(): number {
  let total = 0
  for (const match of readFileSync('/proc/meminfo', 'latin1').matchAll(
    /^(?:Dirty|Writeback): +(\d+) kB$/gm,
  ))
    total += Number(match[1]) * 1024
  return total
}

/**
 * Makes the data of open files durable. Throws the first failure; then none of the files may
 * be taken for durable.
 */
export function flushFilesSync(fds: readonly number[], ownBytes: number): void {
  const [first] = fds
  if (first === undefined) return
  if (
    syncfsTrusted &&
    fds.length >= SYNCFS_MIN_FILES &&
    dirtyBytes() - ownBytes <= SYNCFS_MAX_FOREIGN_DIRTY_BYTES
  ) {
    try {
      syncfs(first)
      return
    } catch {
      // The flushes below say which file it was.
      syncfsTrusted = false
    }
  }
  // Writing starts for all of them first: the disk then sees one queue, and one journal commit
  // covers many files.
  if (fds.length > 1) for (const fd of fds) startWriteback(fd, 0, 0)
  for (const fd of fds) fsyncSync(fd)
}
