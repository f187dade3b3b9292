import { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync } from 'node:fs'
import { fileError, isErrno } from '../../os/errno.ts'
import { dropFromPageCache } from '../../os/linux.ts'
import { hashRangeSync } from './hash-file.ts'
import { TURN_BYTES, turn } from './turn.ts'

export interface VerifyRequest {
  readonly path: string
  readonly sha256: string
  /** By default the file may have any size. */
  readonly sizeBytes?: number
  readonly mode: number
}

/** Undefined for a sound object, else what is wrong with it, in words. */
export type VerifyResult = string | undefined

/** Reads the bytes of an object (or of a manifest) and compares them with its name. */
export async function verifyObject(request: VerifyRequest): Promise<VerifyResult> {
  let fd: number
  try {
    fd = openSync(request.path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'the file is missing'
    throw fileError(error, `opening ${request.path}`)
  }
  try {
    const stat = fstatSync(fd)
    const { sizeBytes = stat.size } = request
    if (stat.size !== sizeBytes) return `the file has ${stat.size} bytes instead of ${sizeBytes}`
    if ((stat.mode & 0o7777) !== request.mode)
      return `the file has mode ${(stat.mode & 0o7777).toString(8)} instead of ${request.mode.toString(8)}`
    const hash = createHash('sha256')
    // What the page cache holds is not what the disk holds: clean pages are dropped first (those
    // in use by a job's mapping stay). Afterwards the read must not push hotter data out.
    dropFromPageCache(fd, 0, 0)
    for (let at = 0; at < sizeBytes; ) {
      const end = Math.min(sizeBytes, at + TURN_BYTES)
      const reached = hashRangeSync(hash, fd, at, end)
      if (reached < end) return `the file ends after ${reached} bytes`
      at = reached
      await turn()
    }
    dropFromPageCache(fd, 0, 0)
    const actual = hash.digest('hex')
    return actual === request.sha256 ? undefined : `the bytes have SHA-256 ${actual}`
  } catch (error) {
    if (isErrno(error, 'EIO')) return 'the disk cannot read it (EIO)'
    throw fileError(error, `reading ${request.path}`)
  } finally {
    closeSync(fd)
  }
}
