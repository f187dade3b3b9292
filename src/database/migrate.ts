import type { Database as Sqlite } from 'better-sqlite3'
import { CkptdError } from '../model/errors.ts'
import { initial } from './migrations/0001-initial.ts'

/** In order; a migration that was released is never edited, only followed by another. */
const MIGRATIONS: readonly string[] = [initial]

/** Marks the file as ckptd's ("ckpt" in ASCII), so that no other database is taken for a store. */
const APPLICATION_ID = 0x63_6b_70_74

/**
 * Refuses a file that is not ckptd's, or is of a newer ckptd. Reads only: whatever it is, it
 * stays as it was.
 */
export function assertReadable(db: Sqlite): void {
  const version = db.pragma('user_version', { simple: true }) as number
  const applicationId = db.pragma('application_id', { simple: true }) as number
  const { tables } = db
    .prepare<[], { tables: number }>('SELECT count(*) AS tables FROM sqlite_schema')
    .get() ?? { tables: 0 }
  const begun = version > 0 || applicationId !== 0 || tables > 0
  if (begun && applicationId !== APPLICATION_ID)
    throw new CkptdError('corrupt', `${db.name} is not a database of ckptd`)
  if (version > MIGRATIONS.length)
    throw new CkptdError(
      'store_newer',
      `this store has schema ${version} and this ckptd knows schemas up to ${MIGRATIONS.length} only; nothing was changed`,
    )
}

/** Brings a store's schema up to this version, one migration a transaction. */
export function migrate(db: Sqlite): void {
  const version = db.pragma('user_version', { simple: true }) as number
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index < version) continue
    db.transaction(() => {
      db.exec(sql)
      db.pragma(`application_id = ${APPLICATION_ID}`)
      db.pragma(`user_version = ${index + 1}`)
    }).immediate()
  }
}
