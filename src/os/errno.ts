import { CkptdError } from '../model/errors.ts'
import { errnoName } from './linux.ts'

/**
 * What a failing file operation means to whoever asked: a full disk and a full quota are
 * states that pass, a missing permission is a matter of set-up, everything else is the disk's
 * fault. `doing` says what was done to what.
 */
export function fileError(error: unknown, doing: string): CkptdError {
  if (error instanceof CkptdError) return error
  const code = errnoName(error)
  // Node's own errors carry codes too ("ERR_…"); those are a programmer's.
  const name = code !== undefined && /^E[A-Z0-9]+$/.test(code) ? code : undefined
  const details = { errno: name }
  switch (name) {
    case 'ENOSPC':
      return new CkptdError(
        'no_space',
        `${doing}: no space, or no more files (inodes), left on the data directory’s filesystem`,
        { details, cause: error },
      )
    case 'EDQUOT':
      return new CkptdError('no_quota', `${doing}: the disk quota is used up`, {
        details,
        cause: error,
      })
    case 'EACCES':
    case 'EPERM':
      return new CkptdError('permission_denied', `${doing}: ${reasonOf(error)}`, {
        details,
        cause: error,
      })
    case 'EMFILE':
    case 'ENFILE':
      return new CkptdError('unavailable', `${doing}: too many open files`, {
        details,
        cause: error,
      })
    case undefined:
      return new CkptdError('internal', `${doing}: ${reasonOf(error)}`, {
        cause: error,
      })
    default:
      return new CkptdError('io_error', `${doing}: ${reasonOf(error)}`, {
        details,
        cause: error,
      })
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Whether an error is the given errno, also where Node.js reports it by number only. */
export function isErrno(error: unknown, name: string): boolean {
  return errnoName(error) === name
}
