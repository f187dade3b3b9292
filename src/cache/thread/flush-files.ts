import { closeSync, fsync, fsyncSync, openSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { startWriteback, syncfs } from '../../os/linux.ts'

/**
 * Dirty bytes of others up to which one flush of the whole filesystem is cheaper than one a
 * file; beyond, it would wait for what the jobs of this host write (docs/decisions/0004-flush.md).
 */
const SYNCFS_MAX_FOREIGN_DIRTY_BYTES = 64 * 1024 * 1024
/** Fewer files than this are flushed one by one. */
const SYNCFS_MIN_FILES = 8

/**
 * The descriptor whose `syncfs` this thread trusts; undefined once one failed. The kernel
 * reports a lost page to every descriptor that was open when it was lost, and to a later one
 * only until somebody else was told: so it is opened before this thread does anything.
 */
let watchFd: number | undefined

/** Called once, when a thread starts: from now on no failed write-back goes by unnoticed. */
export function watchFilesystem(directory: string): void {
  watchFd = openSync(directory, 'r')
}

/**
 * What a flush proved of a file: its bytes are on disk; they are not (its own flush failed); or
 * nothing, since a flush of the whole filesystem failed and does not say whose bytes it lost.
 * A file that is not durable is never flushed again: the kernel reports a lost page once, and
 * the next flush would answer "done". Its bytes have to be written anew, to another inode.
 */
export type Flushed =
  | { readonly kind: 'durable' }
  | { readonly kind: 'lost'; readonly error: unknown }
  | { readonly kind: 'unproven'; readonly error: unknown }

/**
 * Flushes open files of the data directory's filesystem; an answer for each, in order.
 * `ownBytes`: how much of what is dirty is the store's own, and is to be flushed soon anyway.
 */
export async function flushFiles(fds: readonly number[], ownBytes: number): Promise<Flushed[]> {
  if (
    watchFd !== undefined &&
    fds.length >= SYNCFS_MIN_FILES &&
    dirtyBytes() - ownBytes <= SYNCFS_MAX_FOREIGN_DIRTY_BYTES
  ) {
    const failure = flushFilesystemSync()
    return fds.map(() =>
      failure === undefined ? { kind: 'durable' } : { kind: 'unproven', error: failure.error },
    )
  }
  // Writing starts for all of them first: the disk then sees one queue, and one journal commit
  // covers many files.
  const begun = fds.length > 1 ? fds.map(beginSync) : []
  if (fds.length >= SYNCFS_MIN_FILES) return fds.map((fd, index) => begun[index] ?? flushSync(fd))
  // Few files may be large ones: others have the thread meanwhile.
  return Promise.all(fds.map(async (fd, index) => begun[index] ?? (await flush(fd))))
}

function beginSync(fd: number): Flushed | undefined {
  try {
    startWriteback(fd, 0, 0)
    return undefined
  } catch (error) {
    return { kind: 'lost', error }
  }
}

function flushSync(fd: number): Flushed {
  try {
    fsyncSync(fd)
    return { kind: 'durable' }
  } catch (error) {
    return { kind: 'lost', error }
  }
}

const fsyncLater = promisify(fsync)

async function flush(fd: number): Promise<Flushed> {
  try {
    await fsyncLater(fd)
    return { kind: 'durable' }
  } catch (error) {
    return { kind: 'lost', error }
  }
}

/** Whether `flushFilesystemSync` may still be asked in this thread. */
export function canFlushFilesystem(): boolean {
  return watchFd !== undefined
}

/**
 * Flushes the whole filesystem. After a failure it cannot be told whose bytes were lost, those
 * of files still to come among them: from then on this thread flushes every file by itself.
 */
export function flushFilesystemSync(): { readonly error: unknown } | undefined {
  if (watchFd === undefined) return { error: new Error('the filesystem is not watched') }
  try {
    syncfs(watchFd)
    return undefined
  } catch (error) {
    closeSync(watchFd)
    watchFd = undefined
    return { error }
  }
}

/**
 * Flushes what jobs wrote on the filesystem, before anything is promised of it; throws where
 * bytes were lost, whoever's they are. By a descriptor of its own: it works after a failure, too,
 * and takes from `watchFd` nothing that it has yet to be told.
 */
export function flushForeignWritesSync(directory: string): void {
  const fd = openSync(directory, 'r')
  try {
    syncfs(fd)
  } finally {
    closeSync(fd)
  }
}

function dirtyBytes(): number {
  let total = 0
  for (const match of readFileSync('/proc/meminfo', 'latin1').matchAll(
    /^(?:Dirty|Writeback): +(\d+) kB$/gm,
  ))
    total += Number(match[1]) * 1024
  return total
}
