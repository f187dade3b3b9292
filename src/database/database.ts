import { closeSync, fdatasync, openSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { CkptdError } from '../model/errors.ts'
import { flushDirectorySync } from '../os/durable.ts'
import { fileError } from '../os/errno.ts'
import { siblingModule, startThread } from '../os/thread.ts'
import { checkpointStatements } from './checkpoints.ts'
import { databaseError, isFailedFlush } from './database-error.ts'
import { entryStatements } from './entries.ts'
import { ingestStatements } from './ingests.ts'
import { jobStatements } from './jobs.ts'
import { leaseStatements } from './leases.ts'
import { logStatements } from './log.ts'
import { manifestStatements } from './manifests.ts'
import { assertReadable, migrate } from './migrate.ts'
import { objectStatements } from './objects.ts'
import { usageStatements } from './usage.ts'
import { viewStatements } from './views.ts'
import type { walCheckpointHandlers } from './wal-checkpoint-thread.ts'
import { reserveLog, rewriteLog } from './write-ahead-log.ts'

/** Beyond this many milliseconds between checks the write-ahead log is folded into the database. */
const WAL_CHECKPOINT_INTERVAL_MS = 2_000

/**
 * The daemon's database: one connection that writes, on the main thread, in short synchronous
 * transactions. A commit does not wait for the disk: it is ordered and consistent at once
 * (SQLite's write-ahead log with synchronous = NORMAL) and becomes durable with `flush`, which
 * flushes the log on another thread and serves everybody who waits with one flush. Whatever is
 * acknowledged to somebody outside is flushed first (docs/decisions/0003-database-flush.md).
 */
export interface Database extends AsyncDisposable {
  readonly checkpoints: ReturnType<typeof checkpointStatements>
  readonly log: ReturnType<typeof logStatements>
  readonly ingests: ReturnType<typeof ingestStatements>
  readonly entries: ReturnType<typeof entryStatements>
  readonly objects: ReturnType<typeof objectStatements>
  readonly manifests: ReturnType<typeof manifestStatements>
  readonly views: ReturnType<typeof viewStatements>
  readonly jobs: ReturnType<typeof jobStatements>
  readonly leases: ReturnType<typeof leaseStatements>
  readonly usage: ReturnType<typeof usageStatements>
  /** Runs `work` in one immediate transaction; a throw rolls all of it back. */
  transaction<T>(work: () => T): T
  /** Resolves when every transaction committed before the call is on disk. */
  flush(): Promise<void>
}

export function openDatabase(
  path: string,
  options: {
    readonly readonly?: boolean
    /**
     * Told once, when a flush failed: what was committed before it may never reach the disk, and
     * asking again would not find out. From then on every call throws. By default the process
     * ends, before it has acknowledged anything, and is started again.
     */
    readonly onFailure?: (error: CkptdError) => void
  } = {},
): Database {
  const readonly = options.readonly ?? false
  if (!readonly) rewriteLog(`${path}-wal`)
  const db = openSqlite(path, readonly)
  const onFailure = options.onFailure ?? endProcess
  let failure: CkptdError | undefined
  const fail = (error: CkptdError): CkptdError => {
    if (failure === undefined) {
      failure = error
      onFailure(error)
    }
    return failure
  }
  const attempt = <T>(work: () => T): T => {
    if (failure !== undefined) throw failure
    try {
      return work()
    } catch (error) {
      const known = databaseError(error)
      if (isFailedFlush(known)) throw fail(known as CkptdError)
      throw known
    }
  }
  const flusher = readonly ? undefined : walFlusher(path, fail)
  return {
    checkpoints: guarded(checkpointStatements(db), attempt),
    log: guarded(logStatements(db), attempt),
    ingests: guarded(ingestStatements(db), attempt),
    entries: guarded(entryStatements(db), attempt),
    objects: guarded(objectStatements(db), attempt),
    manifests: guarded(manifestStatements(db), attempt),
    views: guarded(viewStatements(db), attempt),
    jobs: guarded(jobStatements(db), attempt),
    leases: guarded(leaseStatements(db), attempt),
    usage: guarded(usageStatements(db), attempt),
    transaction: (work) => attempt(() => db.transaction(work).immediate()),
    flush: async () => {
      if (failure !== undefined) throw failure
      await flusher?.flush()
    },
    [Symbol.asyncDispose]: async () => {
      await flusher?.[Symbol.asyncDispose]()
      db.close()
    },
  }
}

/**
 * A database that cannot promise anything any more: whoever supervises starts the daemon anew.
 * By a signal, since an orderly exit closes the database, and on a failing disk that can hang.
 */
function endProcess(error: CkptdError): void {
  setImmediate(() => {
    writeSync(2, `ckptd: ${error.message}\n`)
    process.kill(process.pid, 'SIGKILL')
  })
}

/** For want of space or not: waiting does not mend it, only writing the log anew does. */
function failedFlush(cause: NodeJS.ErrnoException): CkptdError {
  const text = 'flushing the database failed; the daemon has to start again'
  return new CkptdError('io_error', `${text}: ${cause.message}`, { cause })
}

function openSqlite(path: string, readonly: boolean): Sqlite.Database {
  let db: Sqlite.Database | undefined
  try {
    db = new Sqlite(path, { readonly, timeout: 5_000 })
    assertReadable(db)
    if (!readonly) {
      db.pragma('journal_mode = WAL')
      db.pragma('synchronous = NORMAL')
      // A checkpoint of the log flushes; it runs on a thread of its own instead.
      db.pragma('wal_autocheckpoint = 0')
      foldLog(db)
      migrate(db)
    }
    db.pragma('foreign_keys = ON')
    db.pragma('cache_size = -4000')
    return db
  } catch (error) {
    db?.close()
    throw databaseError(error)
  }
}

/** What an earlier process left in the log moves to the database, and the log begins anew. */
function foldLog(db: Sqlite.Database): void {
  try {
    db.pragma('wal_checkpoint(TRUNCATE)')
  } catch (error) {
    const known = databaseError(error)
    // On a full disk the log stays as it is: it was written anew, and serves.
    if (!(known instanceof CkptdError) || known.code !== 'no_space') throw known
  }
}

type Statements = Readonly<Record<string, (...args: never[]) => unknown>>

/** The same functions, each of which reports a failing disk as the error that it is. */
function guarded<S extends Statements>(statements: S, attempt: <T>(work: () => T) => T): S {
  return Object.fromEntries(
    Object.entries(statements).map(([name, run]) => [
      name,
      (...args: never[]) => attempt(() => run(...args)),
    ]),
  ) as unknown as S
}

function walFlusher(
  path: string,
  fail: (error: CkptdError) => CkptdError,
): AsyncDisposable & { flush(): Promise<void> } {
  // SQLite keeps its locks on the database file and its index, never on the log itself, so a
  // second descriptor of the log is harmless to them. The log lives as long as the connection.
  const walFd = openSync(`${path}-wal`, 'r+')
  reserveLog(walFd)
  flushDirectorySync(dirname(path))
  const thread = startThread<typeof walCheckpointHandlers>(
    siblingModule(import.meta.url, 'wal-checkpoint-thread'),
    { name: 'wal-checkpoint', data: { path } },
  )
  let closing = false
  let warned = ''
  const checkpoint = async (): Promise<void> => {
    try {
      await thread.remote.checkpoint()
    } catch (error) {
      const known = fileError(error, 'folding the log into the database')
      if (closing) return
      // The log keeps all of it: where only room is wanting, the next attempt may find some.
      if (isFailedFlush(known) || known.code === 'corrupt') fail(known)
      else if (known.message !== warned) {
        warned = known.message
        process.emitWarning(warned, 'DatabaseWarning')
      }
    }
  }
  const timer = setInterval(() => void checkpoint(), WAL_CHECKPOINT_INTERVAL_MS)
  timer.unref()

  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  const flushOnce = (): Promise<void> =>
    new Promise((resolve, reject) =>
      fdatasync(walFd, (error) => {
        if (error === null) resolve()
        else reject(fail(failedFlush(error)))
      }),
    )
  const start = (): Promise<void> => {
    next = undefined
    running = flushOnce().finally(() => {
      running = undefined
    })
    return running
  }
  return {
    // A flush under way may have begun before the caller's commit: the caller needs the next
    // one. After a failed one there is no next: it would answer "done" for what was lost.
    flush: () => {
      if (running === undefined) return start()
      next ??= running.then(start)
      return next
    },
    [Symbol.asyncDispose]: async () => {
      closing = true
      clearInterval(timer)
      await Promise.allSettled([running, next])
      await thread[Symbol.asyncDispose]()
      closeSync(walFd)
    },
  }
}
