import Sqlite from 'better-sqlite3'
import { closeSync, fdatasync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import { flushDirectorySync } from '../os/durable.ts'
import { fileError } from '../os/errno.ts'
import { siblingModule, startThread } from '../os/thread.ts'
import { checkpointStatements } from './checkpoints.ts'
import { entryStatements } from './entries.ts'
import { ingestStatements } from './ingests.ts'
import { jobStatements } from './jobs.ts'
import { leaseStatements } from './leases.ts'
import { logStatements } from './log.ts'
import { manifestStatements } from './manifests.ts'
import { migrate } from './migrate.ts'
import { objectStatements } from './objects.ts'
import { usageStatements } from './usage.ts'
import { viewStatements } from './views.ts'
import type { walCheckpointHandlers } from './wal-checkpoint-thread.ts'

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

export function openDatabase(path: string, options: { readonly?: boolean } = {}): Database {
  const db = new Sqlite(path, { readonly: options.readonly ?? false, timeout: 5_000 })
  if (!options.readonly) {
    db.pragma('journal_mode = WAL')
    db.pragma('synchronous = NORMAL')
    // A checkpoint of the log flushes; it runs on a thread of its own instead.
    db.pragma('wal_autocheckpoint = 0')
    migrate(db)
  }
  db.pragma('foreign_keys = ON')
  db.pragma('cache_size = -16000')
  const flusher = options.readonly ? undefined : walFlusher(path)
  return {
    checkpoints: checkpointStatements(db),
    log: logStatements(db),
    ingests: ingestStatements(db),
    entries: entryStatements(db),
    objects: objectStatements(db),
    manifests: manifestStatements(db),
    views: viewStatements(db),
    jobs: jobStatements(db),
    leases: leaseStatements(db),
    usage: usageStatements(db),
    transaction: (work) => db.transaction(work).immediate(),
    flush: () => flusher?.flush() ?? Promise.resolve(),
    [Symbol.asyncDispose]: async () => {
      await flusher?.[Symbol.asyncDispose]()
      db.close()
    },
  }
}

function walFlusher(path: string): AsyncDisposable & { flush(): Promise<void> } {
  // SQLite keeps its locks on the database file and its index, never on the log itself, so a
  // second descriptor of the log is harmless to them. The log lives as long as the connection.
  const walFd = openSync(`${path}-wal`, 'r+')
  flushDirectorySync(dirname(path))
  const thread = startThread<typeof walCheckpointHandlers>(
    siblingModule(import.meta.url, 'wal-checkpoint-thread'),
    { name: 'wal-checkpoint', data: { path } },
  )
  const timer = setInterval(() => void thread.remote.checkpoint(), WAL_CHECKPOINT_INTERVAL_MS)
  timer.unref()

  let running: Promise<void> | undefined
  let next: Promise<void> | undefined
  const flushOnce = (): Promise<void> =>
    new Promise((resolve, reject) =>
      fdatasync(walFd, (error) =>
        error === null ? resolve() : reject(fileError(error, 'flushing the database')),
      ),
    )
  const start = (): Promise<void> => {
    next = undefined
    running = flushOnce().finally(() => {
      running = undefined
    })
    return running
  }
  return {
    // A flush under way may have begun before the caller's commit: the caller needs the next one.
    flush: () => {
      if (running === undefined) return start()
      next ??= running.then(start, start)
      return next
    },
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer)
      await (next ?? running)
      await thread[Symbol.asyncDispose]()
      closeSync(walFd)
    },
  }
}
