import { close } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { isErrno } from '../os/errno.ts'
import { failpoint } from '../os/failpoint.ts'
import { unlinkat } from '../os/linux.ts'
import {
  findBeneath,
  openBeneath,
  READABLE,
  READABLE_DIRECTORY,
  unlessErrno,
} from './descriptor.ts'
import { despiteProtection } from './protection.ts'
import type { TimeSlice } from './time-slice.ts'
import { type FoundEntry, walkTree } from './walk-tree.ts'

/** Freeing the blocks of a file this large takes so long that it is done off the main thread. */
const LARGE_FILE_BYTES = 64n * 1024n * 1024n
/** Times that a directory which is filled while it is emptied is gone through. */
const MAX_ROUNDS = 20

/**
 * Deletes a tree below a directory, through no link and into no other mount; nothing there is
 * fine. For directories of root's that were never, or are no more, anybody's mount.
 */
export async function removeTree(
  directoryFd: number,
  name: string,
  slice: TimeSlice,
): Promise<void> {
  using root = findBeneath(directoryFd, name, READABLE_DIRECTORY)
  if (root === undefined) return
  for (let round = 0; round < MAX_ROUNDS; round++) {
    await walkTree(root.fd, { entry: removeEntry, leave: removeIfEmpty }, slice)
    if (removeIfEmpty(directoryFd, name)) return
  }
  throw new CkptdError('conflict', `somebody goes on writing into ${name} while it is removed`)
}

function removeEntry({ directoryFd, name, stat }: FoundEntry): void {
  const isLarge = stat.isFile() && stat.size >= LARGE_FILE_BYTES && stat.nlink === 1n
  const held = isLarge ? openBeneath(directoryFd, name, READABLE) : undefined
  try {
    despiteProtection(directoryFd, name, () =>
      unlessErrno('ENOENT', () => unlinkat(directoryFd, name, { directory: false })),
    )
  } finally {
    // The last descriptor frees the blocks; the walk closes its own before this one's turn.
    if (held !== undefined) setImmediate(() => close(held.fd, () => undefined))
  }
  failpoint('mountd.entry-removed')
}

/** False where something is in the directory (again). */
function removeIfEmpty(directoryFd: number, name: string | Buffer): boolean {
  try {
    despiteProtection(directoryFd, name, () => unlinkat(directoryFd, name, { directory: true }))
    return true
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return true
    if (isErrno(error, 'ENOTEMPTY')) return false
    throw error
  }
}
