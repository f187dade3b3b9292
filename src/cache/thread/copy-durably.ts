import { randomUUID } from 'node:crypto'
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fsyncSync,
  futimesSync,
  openSync,
  readSync,
  renameSync,
  writeSync,
} from 'node:fs'
import { CkptdError } from '../../model/errors.ts'
import { tryUnlinkSync } from '../../os/durable.ts'
import { hashFileSync } from './hash-file.ts'
import { CONSTANT_TIME_S } from './seal-files.ts'

export interface CopyRequest {
  readonly from: string
  readonly to: string
  readonly sha256: string
  readonly executable: boolean
  /** Write every byte: shared extents would share what was lost. */
  readonly anew: boolean
}

/** A second inode of a content: shared extents where the filesystem can, checked and flushed. */
export function copyDurably(request: CopyRequest): void {
  const temporary = `${request.to}.${randomUUID()}`
  try {
    if (request.anew) writeAnewSync(request.from, temporary)
    else copyFileSync(request.from, temporary, constants.COPYFILE_FICLONE)
    sealCopy(temporary, request)
    renameSync(temporary, request.to)
  } catch (error) {
    tryUnlinkSync(temporary)
    throw error
  }
}

function sealCopy(path: string, { from, sha256, executable }: CopyRequest): void {
  const fd = openSync(path, 'r')
  try {
    const copied = hashFileSync(fd, Number.MAX_SAFE_INTEGER)
    if (copied.sha256 !== sha256)
      throw new CkptdError('corrupt', `a copy of ${from} has other bytes than the file`)
    fchmodSync(fd, executable ? 0o555 : 0o444)
    futimesSync(fd, CONSTANT_TIME_S, CONSTANT_TIME_S)
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

const PIECE_BYTES = 1024 * 1024

/** Node's own copying may share extents even where it was not asked to (copy_file_range). */
function writeAnewSync(from: string, to: string): void {
  const source = openSync(from, 'r')
  try {
    const target = openSync(to, 'wx', 0o600)
    try {
      const piece = Buffer.allocUnsafe(PIECE_BYTES)
      for (let at = 0; ; ) {
        const read = readSync(source, piece, 0, PIECE_BYTES, at)
        if (read === 0) return
        for (let done = 0; done < read; )
          done += writeSync(target, piece, done, read - done, at + done)
        at += read
      }
    } finally {
      closeSync(target)
    }
  } finally {
    closeSync(source)
  }
}
