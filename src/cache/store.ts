import {
  closeSync,
  existsSync,
  linkSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Database, openDatabase } from '../database/database.ts'
import { CkptdError } from '../model/errors.ts'
import type { CheckpointId } from '../model/ids.ts'
import { flushDirectorySync, makeDirectorySync } from '../os/durable.ts'
import { fileError } from '../os/errno.ts'
import { type Ingest, type IngestContext, openIngest } from './ingest.ts'
import { type Layout, storeLayout } from './layout.ts'
import { lockDataDirectory } from './lock.ts'
import { objectWriter } from './object-writer.ts'
import { type Publisher, publisher } from './publish.ts'
import { applyRecoveryStep, planRecovery, type RecoveryStep } from './recovery.ts'
import { type Removal, removal } from './removal.ts'
import { openSpace, type Space } from './space.ts'
import { type StoreThreads, startStoreThreads } from './store-threads.ts'
import { copyKeeper, openViews, type Views } from './views.ts'

export interface Store extends AsyncDisposable {
  readonly layout: Layout
  readonly database: Database
  readonly threads: StoreThreads
  readonly space: Space
  readonly views: Views
  readonly removal: Removal
  readonly publisher: Publisher
  readonly context: IngestContext
  /** Opens the ingest recorded for a checkpoint. */
  openIngest(id: CheckpointId, domain: string): Ingest
  /** Finds and performs what a killed predecessor left to do; tells each step first. */
  recover(onStep: (step: RecoveryStep) => void): Promise<void>
  /** Makes the directories of a sharing domain, once. */
  ensureDomain(domain: string): void
}

/**
 * Opens a data directory: one process at a time (a lock held for its life), all of its parts on
 * one mount, its schema brought up to date. Recovery is separate.
 */
export function openStore(dataDirectory: string, options: { minFreeBytes?: number } = {}): Store {
  const layout = storeLayout(dataDirectory)
  const lockFd = lockDataDirectory(layout)
  try {
    makeDirectories(layout)
    tryOneMount(layout)
    refuseLostDatabase(layout)
  } catch (error) {
    closeSync(lockFd)
    throw fileError(error, `opening the data directory ${dataDirectory}`)
  }
  const database = openDatabaseOf(layout, lockFd)
  const threads = startStoreThreads(dataDirectory, copyKeeper(database))
  // These know one another: whoever meets a content or a manifest that is being removed sees
  // that removal through.
  const writer = objectWriter(database, layout, threads, () => removing.sweep())
  const context: IngestContext = { database, layout, threads, writer }
  const views = openViews(database, layout, threads)
  const publishing = publisher(context, views, (manifestId) => removing.dropManifest(manifestId))
  const removing: Removal = removal(context, views, publishing)
  const domains = new Set<string>()
  return {
    layout,
    database,
    threads,
    views,
    context,
    space: openSpace(dataDirectory, options),
    publisher: publishing,
    removal: removing,
    openIngest: (id, domain) => openIngest(context, id, domain),
    recover: async (onStep) => {
      for await (const step of planRecovery(context)) {
        onStep(step)
        await applyRecoveryStep(context, { removal: removing, views }, step)
      }
      await views.removeDisposable()
    },
    ensureDomain: (domain) => {
      if (domains.has(domain)) return
      try {
        for (const parent of [layout.objects, layout.manifests, layout.views]) {
          makeDirectorySync(join(parent, domain))
          flushDirectorySync(parent)
        }
      } catch (error) {
        throw fileError(error, `making the directories of ${domain}`)
      }
      domains.add(domain)
    },
    [Symbol.asyncDispose]: async () => {
      try {
        await threads[Symbol.asyncDispose]()
        await database[Symbol.asyncDispose]()
      } finally {
        closeSync(lockFd)
      }
    },
  }
}

function makeDirectories(layout: Layout): void {
  const { objects, manifests, views, sidecars, staging, quarantine } = layout
  for (const directory of [objects, manifests, views, sidecars, staging, quarantine])
    makeDirectorySync(directory)
  flushDirectorySync(layout.root)
}

/** Objects are linked and renamed between these: a mount between them would answer EXDEV. */
function tryOneMount(layout: Layout): void {
  const probe = join(layout.staging, '.probe')
  writeFileSync(probe, '')
  for (const directory of [layout.objects, layout.views, layout.manifests]) {
    const linked = join(directory, '.probe')
    try {
      rmSync(linked, { force: true })
      linkSync(probe, linked)
      renameSync(linked, `${linked}2`)
      rmSync(`${linked}2`)
    } catch (error) {
      throw new CkptdError(
        'invalid_config',
        `${layout.staging} and ${directory} must lie on one mount of a filesystem with hard links`,
        { cause: error },
      )
    }
  }
  rmSync(probe)
}

/**
 * An empty database beside written checkpoints would take all of them for garbage. One that was
 * never begun has no bytes: SQLite writes the schema's first page with the rest of it.
 */
function refuseLostDatabase(layout: Layout): void {
  if (existsSync(layout.database) && statSync(layout.database).size > 0) return
  if (readdirSync(layout.sidecars).some((name) => name.endsWith('.json')))
    throw new CkptdError(
      'corrupt',
      `${layout.database} is missing or empty but ${layout.sidecars} has checkpoints; restore the database from a backup, or move the data directory aside to begin anew`,
    )
}

function openDatabaseOf(layout: Layout, lockFd: number): Database {
  try {
    return openDatabase(layout.database)
  } catch (error) {
    closeSync(lockFd)
    throw fileError(error, `opening ${layout.database}`)
  }
}
