import { type BigIntStats, fstatSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { isErrno } from '../os/errno.ts'
import { openat2, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS, seekDirectory } from '../os/linux.ts'
import {
  type Descriptor,
  descriptor,
  findBeneath,
  NAME_ONLY,
  READABLE_DIRECTORY,
} from './descriptor.ts'
import { readEntries, showName } from './directory-entries.ts'
import type { TimeSlice } from './time-slice.ts'

export interface FoundEntry {
  readonly directoryFd: number
  /** Its bytes, ended by a NUL. */
  readonly name: Buffer
  /** Opened by name only; exactly the inode that `stat` describes. */
  readonly fd: number
  readonly stat: BigIntStats
}

export interface TreeVisitor {
  /** A directory below the root, open for reading, before its entries. */
  directory?(fd: number, stat: BigIntStats): void
  /** Anything else. */
  entry(found: FoundEntry): void | Promise<void>
  /** After a directory's entries; false: some were added meanwhile, go through it again. */
  leave?(directoryFd: number, name: Buffer): boolean
}

interface Level {
  readonly dev: bigint
  readonly ino: bigint
  /** Where to go on in it. */
  readonly next: bigint
  /** The name, in it, of the directory that was entered. */
  readonly name: Buffer
}

/**
 * Goes through a tree whose owner may still change it. Every step is one component relative to
 * a descriptor, through no link and into no other mount. Only the directory at hand is open:
 * the way back is "..", which must lead to the very directory that was left. So a tree may be
 * deeper than a path may be long, and than descriptors there are.
 */
export async function walkTree(
  rootFd: number,
  visitor: TreeVisitor,
  slice: TimeSlice,
): Promise<void> {
  const levels: Level[] = []
  let at: Descriptor = openSelf(rootFd)
  try {
    for (;;) {
      const entered = await visitEntries(at, visitor, slice)
      if (entered !== undefined) {
        levels.push(entered.left)
        at[Symbol.dispose]()
        at = entered.directory
        continue
      }
      const level = levels.pop()
      if (level === undefined) return
      const parent = openParent(at.fd, level)
      at[Symbol.dispose]()
      at = parent
      const isDone = visitor.leave?.(at.fd, level.name) ?? true
      seekDirectory(at.fd, isDone ? level.next : 0n)
    }
  } finally {
    at[Symbol.dispose]()
  }
}

/** A descriptor with a reading position of its own. */
function openSelf(rootFd: number): Descriptor {
  return descriptor(openat2(rootFd, '.', { flags: READABLE_DIRECTORY, resolve: 0 }))
}

/** Visits entries up to the next directory, which is opened and answered. */
async function visitEntries(
  at: Descriptor,
  visitor: TreeVisitor,
  slice: TimeSlice,
): Promise<{ left: Level; directory: Descriptor } | undefined> {
  for (const { name, next } of readEntries(at.fd)) {
    const pause = slice()
    if (pause !== undefined) await pause
    using found = open(at.fd, name, NAME_ONLY)
    if (found === undefined) continue
    const stat = fstatSync(found.fd, { bigint: true })
    if (!stat.isDirectory()) {
      const done = visitor.entry({ directoryFd: at.fd, name, fd: found.fd, stat })
      if (done !== undefined) await done
      continue
    }
    const directory = open(at.fd, name, READABLE_DIRECTORY)
    if (directory === undefined) continue
    try {
      const { dev, ino } = fstatSync(at.fd, { bigint: true })
      visitor.directory?.(directory.fd, fstatSync(directory.fd, { bigint: true }))
      return { left: { dev, ino, next, name }, directory }
    } catch (error) {
      directory[Symbol.dispose]()
      throw error
    }
  }
  return undefined
}

/** Undefined where the entry is gone, or is no directory any more. */
function open(directoryFd: number, name: Buffer, flags: number): Descriptor | undefined {
  try {
    return findBeneath(directoryFd, name, flags)
  } catch (error) {
    if (isErrno(error, 'ENOTDIR') || isErrno(error, 'ELOOP')) return undefined
    if (!isErrno(error, 'EXDEV')) throw error
    throw new CkptdError('mount_busy', `something is mounted at ${showName(name)} in the output`)
  }
}

function openParent(fd: number, expected: Level): Descriptor {
  const resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS
  const parent = descriptor(openat2(fd, '..', { flags: READABLE_DIRECTORY, resolve }))
  const { dev, ino } = fstatSync(parent.fd, { bigint: true })
  if (dev === expected.dev && ino === expected.ino) return parent
  parent[Symbol.dispose]()
  throw new CkptdError('conflict', 'somebody moves directories of the output while it is read')
}
