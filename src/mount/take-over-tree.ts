import { type BigIntStats, chmodSync, fchmodSync, fchownSync, fstatSync } from 'node:fs'
import { chownByDescriptor, unlinkat } from '../os/linux.ts'
import { unlessErrno } from './descriptor.ts'
import { countLinks, type LinkCensus } from './link-census.ts'
import { type LinkedCopies, openLinkedCopies } from './linked-copies.ts'
import type { Owner } from './mount-host.ts'
import { despiteProtection } from './protection.ts'
import { removeTree } from './remove-tree.ts'
import type { TimeSlice } from './time-slice.ts'
import { type FoundEntry, walkTree } from './walk-tree.ts'

/**
 * Makes a tree that strangers wrote the new owner's: readable to it, without set-id bits, and
 * sharing no inode with anything outside. Running it again after a crash finishes it.
 *
 * `besideFd` is a directory of root's on the same mount, and `copiesName` a free name in it.
 */
export async function takeOverTree(
  rootFd: number,
  owner: Owner,
  { besideFd, copiesName }: { besideFd: number; copiesName: string },
  slice: TimeSlice,
  maxCounted?: number,
): Promise<void> {
  using copies = await openLinkedCopies(besideFd, copiesName, owner, slice)
  const census = await countLinks(rootFd, slice, maxCounted)
  takeDirectory(rootFd, fstatSync(rootFd, { bigint: true }), owner)
  await walkTree(
    rootFd,
    {
      directory: (fd, stat) => takeDirectory(fd, stat, owner),
      entry: (found) => {
        if (!found.stat.isFile()) return takeSpecial(found, owner)
        if (census.isOwn(found.stat) && (census.isComplete || !copies.has(found.stat)))
          return takeFile(found, owner)
        return replaceByCopy(found, copies, census)
      },
    },
    slice,
  )
  await removeTree(besideFd, copiesName, slice)
}

function takeDirectory(fd: number, stat: BigIntStats, owner: Owner): void {
  despiteProtection(fd, '.', () => {
    fchownSync(fd, owner.uid, owner.gid)
    fchmodSync(fd, (permissions(stat) & 0o777) | 0o700)
  })
}

/** The set-id bits go before the file changes hands, so that they never speak for the new owner. */
function takeFile({ fd, directoryFd, name, stat }: FoundEntry, owner: Owner): void {
  despiteProtection(directoryFd, name, () => {
    chmodSync(`/proc/self/fd/${fd}`, takenMode(stat))
    chownByDescriptor(fd, owner.uid, owner.gid)
  })
}

/** Read by the owner at least; executable as it was; no set-id and sticky bits. */
export function takenMode(stat: BigIntStats): number {
  return (permissions(stat) & 0o777) | 0o400
}

function permissions({ mode }: BigIntStats): number {
  return Number(mode & 0o7777n)
}

/**
 * Links, sockets and FIFOs become the owner's, unless their inode has names elsewhere. A
 * device never does: whoever owns it may open it, and outside the worker's nodev mount that
 * is the host's disk. It is closed to everybody, and the owner of its directory may remove it.
 */
function takeSpecial({ fd, directoryFd, name, stat }: FoundEntry, owner: Owner): void {
  if (!stat.isBlockDevice() && !stat.isCharacterDevice()) {
    if (stat.nlink === 1n) chownByDescriptor(fd, owner.uid, owner.gid)
    return
  }
  if (stat.nlink > 1n) {
    unlessErrno('ENOENT', () => unlinkat(directoryFd, name, { directory: false }))
    return
  }
  chownByDescriptor(fd, 0, 0)
  chmodSync(`/proc/self/fd/${fd}`, 0)
}

async function replaceByCopy(
  found: FoundEntry,
  copies: LinkedCopies,
  census: LinkCensus,
): Promise<void> {
  if (await copies.replace(found, takenMode(found.stat))) census.forgetName(found.stat)
}
