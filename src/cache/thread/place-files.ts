import { linkSync, renameSync } from 'node:fs'
import { flushDirectorySync, tryUnlinkSync, unlinkIfPresentSync } from '../../os/durable.ts'
import { fileError, isErrno } from '../../os/errno.ts'
import { failpoint } from '../../os/failpoint.ts'
import { copyDurably } from './copy-durably.ts'

/**
 * How a sealed file gets its object's name: `rename` takes a staging file over, `link` keeps
 * the source where it is (a worker's output), `copy` where the source's inode may not serve,
 * `rewrite` where its pages may not be on disk: a copy that shares nothing with it.
 */
export interface PlaceRequest {
  readonly from: string
  readonly to: string
  readonly how: 'rename' | 'link' | 'copy' | 'rewrite'
  readonly sha256: string
  readonly executable: boolean
}

/**
 * Gives sealed files their objects' names and flushes the directories; all or an error, and
 * after an error the names are as they were.
 */
export function placeFiles(puts: readonly PlaceRequest[], directories: readonly string[]): void {
  const placed: PlaceRequest[] = []
  try {
    for (const put of puts) {
      placeFile(put)
      placed.push(put)
    }
    failpoint('ingest.placed')
    for (const directory of directories) flushDirectorySync(directory)
    failpoint('ingest.directory-flushed')
  } catch (error) {
    unplaceFiles(placed)
    throw fileError(error, 'adding objects to the store')
  }
}

/**
 * Takes names back that were not recorded. One that cannot be taken back has no row in the
 * database: recovery removes it.
 */
export function unplaceFiles(puts: readonly PlaceRequest[]): void {
  for (const put of puts)
    if (put.how !== 'rename' || !tryRenameSync(put.to, put.from)) tryUnlinkSync(put.to)
}

function tryRenameSync(from: string, to: string): boolean {
  try {
    renameSync(from, to)
    return true
  } catch {
    return false
  }
}

function placeFile(put: PlaceRequest): void {
  if (put.how === 'rename') return renameSync(put.from, put.to)
  if (put.how === 'link') {
    try {
      return linkNew(put.from, put.to)
    } catch (error) {
      // Another mount, an immutable file, an inode with all its links used: a copy serves.
      if (!['EXDEV', 'EPERM', 'EMLINK'].some((name) => isErrno(error, name))) throw error
    }
  }
  copyDurably({ ...put, anew: put.how === 'rewrite' })
}

function linkNew(from: string, to: string): void {
  try {
    linkSync(from, to)
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error
    // A name without a row in the database: left by a crash, and its bytes are not proven.
    unlinkIfPresentSync(to)
    linkSync(from, to)
  }
}
