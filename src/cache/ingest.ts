import { join } from 'node:path'
import type { Database } from '../database/database.ts'
import type { EntryRow, EntryTotals, StoredFile } from '../database/entries.ts'
import type { Sha256 } from '../model/digest.ts'
import { CkptdError } from '../model/errors.ts'
import type { CheckpointId } from '../model/ids.ts'
import { MAX_CHECKPOINT_BYTES, MAX_TREE_ENTRIES } from '../model/limits.ts'
import {
  parentDirectories,
  quoteName,
  type RelativePath,
  resolveLink,
} from '../model/relative-path.ts'
import { formatBytes } from '../model/size-text.ts'
import { makeDirectorySync } from '../os/durable.ts'
import { fileError } from '../os/errno.ts'
import { type IngestFile, openIngestFile } from './ingest-file.ts'
import type { Layout } from './layout.ts'
import type { ObjectWriter } from './object-writer.ts'
import type { StoreThreads } from './store-threads.ts'

/** A planned file as it was recorded, for whoever fetches it. */
export interface PlannedFile {
  readonly path: RelativePath
  readonly sizeBytes: number | undefined
  /** What the planner recorded; its own business. */
  readonly plan: unknown
}

/**
 * The filling of one checkpoint's tree: the one seam for sources, uploads and captures.
 * Everything recorded through it survives a restart. Names are validated relative paths; what
 * the tree as a whole forbids (two entries of one name, an entry below a file or a link, too
 * many entries, too many bytes) is refused here with `invalid_path`, `limit_exceeded` or
 * `too_large`.
 */
export interface Ingest {
  readonly checkpointId: CheckpointId
  /** Absolute; whoever moves bytes writes its files here under `newStagingName`s. */
  readonly directory: string
  readonly newStagingName: () => string
  addDirectory(path: RelativePath): void
  addSymlink(path: RelativePath, target: string): void
  /** Records several things in one transaction. */
  together(work: () => void): void
  /** Records files to be fetched; several at once are one transaction. */
  planFiles(files: readonly PlannedFile[]): void
  /** Replaces what was recorded of a planned file (its pin became known, say). */
  updatePlan(file: PlannedFile): void
  /** Planned files that are not stored yet, in path order after `after`. */
  listPlanned(after: string, limit: number): PlannedFile[]
  /** Forgets the planned files that are not stored (of an extraction that begins again). */
  dropPlanned(): void
  /** Whether the list of planned files is complete; survives a restart. */
  isPlanned(): boolean
  markPlanned(): void
  /** What whoever fills it recorded to go on by; `{}` at first. */
  state(): unknown
  setState(state: unknown): void
  /** Whether a file of this path is stored already. */
  hasStored(path: RelativePath): boolean
  /** What is recorded under a path. */
  find(path: RelativePath): EntryRow | undefined
  /** Everything recorded, in path order; a file keeps its plan after it is stored. */
  iterate(): Generator<EntryRow>
  /** Stores a planned path as a second name of a stored file: the same object. */
  storeLink(path: RelativePath, target: RelativePath): StoredFile
  /** Removes the links that lead out of the tree and returns them; the whole tree must be known. */
  dropEscapingSymlinks(): { path: RelativePath; why: string }[]
  totals(): EntryTotals
  /** Stores a whole staging file under a planned path; resolves when it is durable and recorded. */
  storeFile(file: StagedFile): Promise<StoredFile>
  /** The same for a copy of somebody's file, on any mount, which stays theirs. */
  storeCopy(file: Omit<StagedFile, 'foreign'>): Promise<StoredFile>
  /** Opens a large file by key for piecewise writing, at its durable offset if it has one. */
  openFile(key: string, version: string): Promise<IngestFile>
  /** Stores a file opened with `openFile` and finished; its partial record goes. */
  storeOpened(file: StagedFile & { key: string; knownSha256: Sha256 }): Promise<StoredFile>
  /** What is recorded of a large file of which a part is durable. */
  findPartial(key: string): { readonly version: string; readonly durableBytes: number } | undefined
  /** Bytes of large files that are durable though their files are not whole. */
  partialBytes(): number
  /** Forgets a partial that serves no more (an archive's spool). */
  forgetPartial(key: string): void
}

export interface StagedFile {
  readonly path: RelativePath
  /** Absolute. */
  readonly file: string
  readonly executable: boolean
  readonly sizeBytes: number
  /** What the origin vouches for. */
  readonly sha256?: Sha256
  /** A worker's own file: linked, never trusted. */
  readonly foreign?: boolean
  /** Told from time to time how much of a large file is hashed. */
  readonly onHashed?: (bytes: number) => void
}

export interface IngestContext {
  readonly database: Database
  readonly layout: Layout
  readonly threads: StoreThreads
  readonly writer: ObjectWriter
}

/** Opens the ingest that the database has recorded for a checkpoint. */
export function openIngest(
  context: IngestContext,
  checkpointId: CheckpointId,
  domain: string,
): Ingest {
  const { database, layout, threads, writer } = context
  const { entries, ingests } = database
  const directory = layout.ingest(checkpointId)
  try {
    makeDirectorySync(directory)
  } catch (error) {
    throw fileError(error, 'making a staging directory')
  }
  // Names of an earlier run are never reused: its partial files keep theirs.
  const run = Date.now().toString(36)
  let serial = 0
  const before = entries.totals(checkpointId)
  let entryCount = before.entries
  /** Of all files whose size is known, stored or planned. */
  let treeBytes = before.bytes
  /** Directories known to exist: saves a look-up for each file of a large tree. */
  const knownDirectories = new Set<string>()

  const count = (path: RelativePath): void => {
    entryCount += 1
    if (entryCount > MAX_TREE_ENTRIES)
      throw new CkptdError(
        'limit_exceeded',
        `the tree has more than ${MAX_TREE_ENTRIES} entries; ${quoteName(path)} is one too many`,
      )
  }
  const ensureParents = (path: RelativePath): void => {
    for (const parent of parentDirectories(path)) {
      if (knownDirectories.has(parent)) continue
      const existing = entries.find(checkpointId, parent)
      if (existing === undefined) {
        count(parent)
        entries.insertDirectory(checkpointId, parent)
      } else if (existing.kind !== 'directory')
        throw new CkptdError(
          'invalid_path',
          `${quoteName(path)} lies below ${quoteName(parent)}, which is a ${existing.kind}`,
        )
      if (knownDirectories.size > 10_000) knownDirectories.clear()
      knownDirectories.add(parent)
    }
  }
  const refuseSecond = (path: RelativePath, kind: string): never => {
    throw new CkptdError(
      'invalid_path',
      `two entries have the name ${quoteName(path)}: a ${kind} and another`,
      {
        details: { path },
      },
    )
  }
  const countBytes = (bytes: number): void => {
    treeBytes += bytes
    if (treeBytes > MAX_CHECKPOINT_BYTES)
      throw new CkptdError(
        'too_large',
        `the tree has ${formatBytes(treeBytes)} or more and a checkpoint holds at most ${formatBytes(MAX_CHECKPOINT_BYTES)}`,
      )
  }
  const claimPath = (path: RelativePath, kind: 'file' | 'symlink'): void => {
    ensureParents(path)
    if (entries.find(checkpointId, path) !== undefined) refuseSecond(path, kind)
    count(path)
  }

  /** One transaction; a throw rolls back what was counted too. */
  const together = (work: () => void): void => {
    const counted = { entryCount, treeBytes }
    try {
      database.transaction(work)
    } catch (error) {
      entryCount = counted.entryCount
      treeBytes = counted.treeBytes
      knownDirectories.clear()
      throw error
    }
  }

  const put = (
    file: StagedFile,
    how: { knownSha256?: Sha256; copyFrom?: string } = {},
  ): Promise<StoredFile> =>
    writer.put({
      ...how,
      checkpointId,
      domain,
      path: file.path,
      file: file.file,
      executable: file.executable,
      sizeHintBytes: file.sizeBytes,
      expected: {
        sizeBytes: file.sizeBytes,
        ...(file.sha256 === undefined ? {} : { sha256: file.sha256 }),
      },
      foreign: file.foreign ?? false,
      ...(file.onHashed === undefined ? {} : { onHashed: file.onHashed }),
    })

  const ingest: Ingest = {
    checkpointId,
    directory,
    newStagingName: () => `${run}-${serial++}`,
    addDirectory: (path) => {
      ensureParents(path)
      const existing = entries.find(checkpointId, path)
      if (existing?.kind === 'directory') return
      if (existing !== undefined) refuseSecond(path, 'directory')
      count(path)
      entries.insertDirectory(checkpointId, path)
    },
    addSymlink: (path, target) => {
      claimPath(path, 'symlink')
      entries.insertSymlink(checkpointId, path, target)
    },
    together,
    planFiles: (files) =>
      together(() => {
        for (const { path, plan, sizeBytes } of files) {
          claimPath(path, 'file')
          entries.insertPlanned(checkpointId, path, plan, sizeBytes ?? null)
          countBytes(sizeBytes ?? 0)
        }
      }),
    updatePlan: ({ path, plan, sizeBytes }) => {
      const known = entries.find(checkpointId, path)?.size_bytes ?? 0
      countBytes((sizeBytes ?? 0) - known)
      entries.setPlan(checkpointId, path, plan, sizeBytes ?? null)
    },
    dropPlanned: () => {
      while (entries.removeSomePlanned(checkpointId)) continue
      const left = entries.totals(checkpointId)
      entryCount = left.entries
      treeBytes = left.bytes
      knownDirectories.clear()
    },
    listPlanned: (after, limit) =>
      entries.listPlanned(checkpointId, after, limit).map((row) => ({
        path: row.path,
        sizeBytes: row.size_bytes ?? undefined,
        plan: JSON.parse(row.plan ?? 'null') as unknown,
      })),
    isPlanned: () => ingests.find(checkpointId)?.planned === 1,
    markPlanned: () => ingests.setPlanned(checkpointId, true),
    state: () => JSON.parse(ingests.find(checkpointId)?.state ?? '{}') as unknown,
    setState: (state) => ingests.setState(checkpointId, state),
    hasStored: (path) => entries.find(checkpointId, path)?.state === 'stored',
    find: (path) => entries.find(checkpointId, path),
    iterate: () => entries.iterate(checkpointId),
    storeLink: (path, target) => {
      const row = entries.find(checkpointId, target)
      if (row?.kind !== 'file' || row.state !== 'stored' || row.sha256 === null)
        throw new CkptdError('internal', `${quoteName(target)} is no stored file`)
      const stored = {
        path,
        executable: row.executable === 1,
        sizeBytes: row.size_bytes ?? 0,
        sha256: row.sha256,
        objectId: row.object_id,
      }
      entries.store(checkpointId, stored)
      return stored
    },
    dropEscapingSymlinks: () => {
      const dropped: { path: RelativePath; why: string }[] = []
      for (const { path, target } of entries.iterateSymlinks(checkpointId))
        try {
          assertLinkInside(database, checkpointId, path, target ?? '')
        } catch (error) {
          if (!(error instanceof CkptdError)) throw error
          dropped.push({ path, why: error.message })
        }
      for (const { path } of dropped) entries.remove(checkpointId, path)
      return dropped
    },
    totals: () => entries.totals(checkpointId),
    storeFile: (file) => put(file),
    storeCopy: (file) =>
      put({ ...file, file: join(directory, ingest.newStagingName()) }, { copyFrom: file.file }),
    openFile: (key, version) =>
      openIngestFile(
        { database, threads, directory, checkpointId },
        key,
        version,
        ingest.newStagingName,
      ),
    storeOpened: async (file) => {
      const stored = await put(file, { knownSha256: file.knownSha256 })
      ingests.removePartial(checkpointId, file.key)
      await database.flush()
      await threads.use((remote) => remote.unlinkFiles([file.file]))
      return stored
    },
    findPartial: (key) => {
      const row = ingests.findPartial(checkpointId, key)
      return row && { version: row.version, durableBytes: row.durable_bytes }
    },
    partialBytes: () =>
      ingests.listPartials(checkpointId).reduce((sum, row) => sum + row.durable_bytes, 0),
    forgetPartial: (key) => ingests.removePartial(checkpointId, key),
  }
  return ingest
}

/** Throws `invalid_path` where a link of an ingest leads out of its tree. */
export function assertLinkInside(
  database: Database,
  id: CheckpointId,
  path: RelativePath,
  target: string,
): void {
  resolveLink(path, target, (through) => {
    const entry = database.entries.find(id, through)
    return entry?.kind === 'symlink' ? (entry.target ?? '') : undefined
  })
}

/** The path below an ingest's directory where its manifest is written. */
export function stagedManifest(layout: Layout, id: CheckpointId): string {
  return join(layout.ingest(id), 'manifest')
}
