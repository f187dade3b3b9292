import Sqlite from 'better-sqlite3'
import { CkptdError } from '../model/errors.ts'

/**
 * What a failing statement means to whoever asked. SQLite rolled back: nothing of the
 * transaction happened. A broken rule (a constraint, bad SQL) is a programmer's error and stays
 * what it is.
 */
export function databaseError(error: unknown): unknown {
  if (!(error instanceof Sqlite.SqliteError)) return error
  const { code, message } = error
  const say = (text: string): string => `the database ${text} (${code}): ${message}`
  const options = { details: { sqlite: code }, cause: error }
  if (code === 'SQLITE_FULL')
    return new CkptdError('no_space', say('has no room to write'), options)
  if (code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB' || code.startsWith('SQLITE_CORRUPT_'))
    return new CkptdError('corrupt', say('is damaged'), options)
  if (/^SQLITE_(IOERR|READONLY|CANTOPEN)/.test(code))
    return new CkptdError('io_error', say('cannot be written'), options)
  if (code.startsWith('SQLITE_BUSY'))
    return new CkptdError('unavailable', say('is locked by another process'), options)
  return error
}

/** A failed flush: whether what it covered is on disk cannot be found out any more. */
export function isFailedFlush(error: unknown): boolean {
  return (
    error instanceof CkptdError &&
    /^SQLITE_IOERR_(DIR_)?FSYNC$/.test(String(error.details['sqlite']))
  )
}
