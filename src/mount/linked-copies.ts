import { type BigIntStats, fchmodSync, fchownSync, fstatSync, openSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { isErrno } from '../os/errno.ts'
import { failpoint } from '../os/failpoint.ts'
import { linkat, mkdirat, renameReplacing, unlinkat } from '../os/linux.ts'
import { copyFileContent } from './copy-file.ts'
import {
  descriptor,
  openBeneath,
  READABLE,
  READABLE_DIRECTORY,
  unlessErrno,
  whatIsAt,
} from './descriptor.ts'
import { showName } from './directory-entries.ts'
import type { Owner } from './mount-host.ts'
import { despiteProtection } from './protection.ts'
import { removeTree } from './remove-tree.ts'
import type { TimeSlice } from './time-slice.ts'
import type { FoundEntry } from './walk-tree.ts'

export interface LinkedCopies extends Disposable {
  /**
   * Puts a fresh inode of the same content under a file's name; false where the file is such
   * a copy already.
   */
  replace(found: FoundEntry, mode: number): Promise<boolean>
  /** Whether another name of the file was replaced: its last one must follow, or links are lost. */
  has(stat: BigIntStats): boolean
}

/**
 * Copies of files that have names outside the tree. Names of one file stay names of one copy:
 * a file with ten thousand names in the tree is copied once. What is known lies on disk, in a
 * directory beside the tree, so that memory does not grow with the number of copies:
 * `of.<inode>` is the copy of a file, `made.<inode>` says that an inode is a copy.
 */
export async function openLinkedCopies(
  besideFd: number,
  name: string,
  owner: Owner,
  slice: TimeSlice,
): Promise<LinkedCopies> {
  await removeTree(besideFd, name, slice)
  mkdirat(besideFd, name, 0o700)
  const directory = openBeneath(besideFd, name, READABLE_DIRECTORY)
  return {
    has: (stat) => whatIsAt(directory.fd, copyName(stat)) === 'entry',
    replace: (found, mode) => replace(directory.fd, found, owner, mode, slice),
    [Symbol.dispose]: () => directory[Symbol.dispose](),
  }
}

async function replace(
  copiesFd: number,
  found: FoundEntry,
  owner: Owner,
  mode: number,
  slice: TimeSlice,
): Promise<boolean> {
  const { dev, ino } = found.stat
  if (whatIsAt(copiesFd, `made.${dev}.${ino}`) === 'entry') return false
  const copy = copyName(found.stat)
  if (whatIsAt(copiesFd, copy) === 'nothing')
    await makeCopy(copiesFd, copy, found, owner, mode, slice)
  try {
    linkat(copiesFd, copy, copiesFd, 'next')
  } catch (error) {
    if (!isErrno(error, 'EMLINK')) throw error
    unlinkat(copiesFd, copy, { directory: false })
    await makeCopy(copiesFd, copy, found, owner, mode, slice)
    linkat(copiesFd, copy, copiesFd, 'next')
  }
  despiteProtection(found.directoryFd, found.name, () =>
    renameReplacing(copiesFd, 'next', found.directoryFd, found.name),
  )
  failpoint('mountd.copied')
  return true
}

function copyName({ dev, ino }: BigIntStats): string {
  return `of.${dev}.${ino}`
}

async function makeCopy(
  copiesFd: number,
  name: string,
  { directoryFd, name: sourceName, stat }: FoundEntry,
  owner: Owner,
  mode: number,
  slice: TimeSlice,
): Promise<void> {
  using source = openBeneath(directoryFd, sourceName, READABLE)
  if (fstatSync(source.fd, { bigint: true }).ino !== stat.ino)
    throw new CkptdError('conflict', `somebody replaces ${showName(sourceName)} while it is read`)
  unlessErrno('ENOENT', () => unlinkat(copiesFd, 'partial', { directory: false }))
  using copy = descriptor(openSync(`/proc/self/fd/${copiesFd}/partial`, 'wx', 0o600))
  await copyFileContent(source.fd, copy.fd, slice)
  fchmodSync(copy.fd, mode)
  fchownSync(copy.fd, owner.uid, owner.gid)
  const made = fstatSync(copy.fd, { bigint: true })
  linkat(copiesFd, 'partial', copiesFd, `made.${made.dev}.${made.ino}`)
  renameReplacing(copiesFd, 'partial', copiesFd, name)
}
