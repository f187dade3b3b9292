import { closeSync, constants, existsSync } from 'node:fs'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../database/database.ts'
import { CkptdError } from '../model/errors.ts'
import { fileError, isErrno } from '../os/errno.ts'
import { type Layout, storeLayout } from './layout.ts'
import { lockIfPresent } from './lock.ts'
import type { RecoverySource } from './recovery.ts'
import { startStoreThreads } from './store-threads.ts'
import { copyKeeper } from './views.ts'

/**
 * A store to look at, of which nothing changes: its directories as they are, and its database as
 * a start would see it, in a copy below the directory for temporary files. Throws `store_locked`
 * while a process has it open, `invalid_config` where there is no store.
 */
export async function inspectStore(
  dataDirectory: string,
): Promise<RecoverySource & AsyncDisposable> {
  const layout = storeLayout(dataDirectory)
  const lockFd = lockIfPresent(layout)
  await using opened = new AsyncDisposableStack()
  opened.defer(() => {
    if (lockFd !== undefined) closeSync(lockFd)
  })
  if (!existsSync(layout.database))
    throw new CkptdError(
      'invalid_config',
      `there is no store at ${dataDirectory}: it has no ${layout.database}`,
    )
  const directory = await mkdtemp(join(tmpdir(), 'ckptd-recover-'))
  opened.defer(() => rm(directory, { recursive: true, force: true }))
  const database = opened.use(openDatabase(await copyDatabase(layout, directory)))
  const threads = opened.use(startStoreThreads(dataDirectory, copyKeeper(database)))
  const owned = opened.move()
  return { database, layout, threads, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** SQLite makes files beside a database with a log even to read it: hence the copy of both. */
async function copyDatabase({ database }: Layout, directory: string): Promise<string> {
  const copy = join(directory, 'ckptd.db')
  try {
    await copyFile(database, copy, constants.COPYFILE_FICLONE)
    if (existsSync(`${database}-wal`))
      await copyFile(`${database}-wal`, `${copy}-wal`, constants.COPYFILE_FICLONE)
    return copy
  } catch (error) {
    if (isErrno(error, 'ENOSPC'))
      throw new CkptdError(
        'no_space',
        `a copy of the database does not fit into ${tmpdir()}; name another directory with TMPDIR`,
        { cause: error },
      )
    throw fileError(error, `copying ${database} to ${directory}`)
  }
}
