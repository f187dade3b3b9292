import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { mkdirat, unlinkat } from '../os/linux.ts'
import {
  type Descriptor,
  findBeneath,
  openBeneath,
  READABLE_DIRECTORY,
  unlessErrno,
  whatIsAt,
} from './descriptor.ts'
import type { WorkerRef } from './mount-host.ts'

/**
 * `<runtime>/jobs/<job>/<worker>/`, on a tmpfs that only root can enter:
 *
 *   checkpoint/      the mount point of the checkpoint
 *   output/          the mount point of the output
 *   parts/<name>/    where the parts of several checkpoints are put together
 *   mounting/        present from before the first mount until after the last one: a helper
 *                    that finds it at its start undoes the worker
 *   releasing.json   present from before the first unmount: which mounts must have vanished
 *                    from every table before the directories may go
 *
 * Removing a directory that is a mount point in another mount namespace detaches that mount
 * there, without asking: hence the directories go last, after the search for such mounts.
 */
export const MARK = 'mounting'
const RECORD = 'releasing.json'

/** Makes and opens a worker's directory; undefined where it is there already. */
export function makeWorkerDirectory(jobsFd: number, ref: WorkerRef): Descriptor | undefined {
  unlessErrno('EEXIST', () => mkdirat(jobsFd, ref.job, 0o700))
  const made = unlessErrno('EEXIST', () => {
    mkdirat(jobsFd, pathOf(ref), 0o700)
    return true
  })
  if (made === undefined) return undefined
  const directory = openBeneath(jobsFd, pathOf(ref), READABLE_DIRECTORY)
  mkdirat(directory.fd, MARK, 0o700)
  return directory
}

export function findWorkerDirectory(jobsFd: number, ref: WorkerRef): Descriptor | undefined {
  return findBeneath(jobsFd, pathOf(ref), READABLE_DIRECTORY)
}

/** Removes what is empty of a worker's directory, its job's too where it was the last. */
export function removeWorkerDirectory(jobsFd: number, ref: WorkerRef): void {
  unlessErrno('ENOENT', () => unlinkat(jobsFd, pathOf(ref), { directory: true }))
  unlessErrno('ENOENT', () =>
    unlessErrno('ENOTEMPTY', () => unlinkat(jobsFd, ref.job, { directory: true })),
  )
}

/** Removes an empty directory if it is there; its being a mount point is an error (EBUSY). */
export function removeDirectory(directoryFd: number, name: string): void {
  unlessErrno('ENOENT', () => unlinkat(directoryFd, name, { directory: true }))
}

function pathOf({ job, worker }: WorkerRef): string {
  return `${job}/${worker}`
}

export type WorkerState = 'mounted' | 'mounting' | 'releasing' | 'empty'

export function workerState(workerFd: number): WorkerState {
  if (whatIsAt(workerFd, RECORD) === 'entry') return 'releasing'
  if (whatIsAt(workerFd, MARK) === 'entry') return 'mounting'
  const isMount = (name: string): boolean => whatIsAt(workerFd, name) === 'mount'
  return isMount('checkpoint') || isMount('output') ? 'mounted' : 'empty'
}

/** What a release must see vanish, as the kernel's tables show it. */
export interface ReleaseRecord {
  readonly roots: readonly { readonly device: string; readonly root: string }[]
  readonly views: readonly { readonly view: string | null; readonly directory: string }[]
  readonly output: boolean
}

export function writeReleaseRecord(workerFd: number, record: ReleaseRecord): void {
  const path = `/proc/self/fd/${workerFd}/${RECORD}`
  writeFileSync(`${path}.new`, JSON.stringify(record), { mode: 0o600 })
  renameSync(`${path}.new`, path)
}

/** Undefined where no release has begun. Root alone writes it, so it is believed. */
export function findReleaseRecord(workerFd: number): ReleaseRecord | undefined {
  const text = unlessErrno('ENOENT', () =>
    readFileSync(`/proc/self/fd/${workerFd}/${RECORD}`, 'utf8'),
  )
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as ReleaseRecord
  } catch (cause) {
    throw new CkptdError('internal', `${RECORD} cannot be read`, { cause })
  }
}

export function removeReleaseRecord(workerFd: number): void {
  unlessErrno('ENOENT', () => unlinkat(workerFd, `${RECORD}.new`, { directory: false }))
  unlessErrno('ENOENT', () => unlinkat(workerFd, RECORD, { directory: false }))
}
