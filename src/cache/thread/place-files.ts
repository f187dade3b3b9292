import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fsyncSync,
  futimesSync,
  linkSync,
  openSync,
  renameSync,
} from 'node:fs'
import { flushDirectorySync, unlinkIfPresentSync } from '../../os/durable.ts'
import { fileError, isErrno } from '../../os/errno.ts'
import { failpoint } from '../../os/failpoint.ts'
import { hashFileSync } from './hash-file.ts'
import { CONSTANT_TIME_S } from './seal-files.ts'
import { CkptdError } from '../../model/errors.ts'

/**
 * How a sealed file gets its object's name: `rename` takes a staging file over, `link` keeps
 * the source where it is (a worker's output), `copy` where the source's inode may not serve.
 */
export interface PlaceRequest {
  readonly from: string
  readonly to: string
  readonly how: 'rename' | 'link' | 'copy'
  readonly sha256: string
  readonly executable: boolean
}

/** Gives sealed files their objects' names and flushes the directories; all or an error. */
export function placeFiles(
  puts: readonly PlaceRequest[],
  directories: readonly string[],
): void {
  try {
    for (const put of puts) placeFile(put)
    failpoint('ingest.placed')
    for (const directory of directories) flushDirectorySync(directory)
    failpoint('ingest.directory-flushed')
  } catch (error) {
    throw fileError(error, 'adding objects to the store')
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
  copyDurably(put)
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

/** A second inode of a content: shared extents where the filesystem can, checked and flushed. */
export function copyDurably(put: Omit<PlaceRequest, 'how'>): void {
  const temporary = `${put.to}.${randomUUID()}`
  copyFileSync(put.from, temporary, constants.COPYFILE_FICLONE)
  const fd = openSync(temporary, 'r')
  try {
    const { sha256 } = hashFileSync(fd, Number.MAX_SAFE_INTEGER)
    if (sha256 !== put.sha256)
      throw new CkptdError('corrupt', `a copy of ${put.from} has other bytes than the file`)
    fchmodSync(fd, put.executable ? 0o555 : 0o444)
    futimesSync(fd, CONSTANT_TIME_S, CONSTANT_TIME_S)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
  renameSync(temporary, put.to)
}
