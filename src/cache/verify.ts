import { join } from 'node:path'
import type { CheckpointRow } from '../database/checkpoints.ts'
import type { JobUse } from '../database/jobs.ts'
import type { ObjectRow } from '../database/objects.ts'
import { CkptdError } from '../model/errors.ts'
import { fileError, isErrno } from '../os/errno.ts'
import type { IngestContext } from './ingest.ts'
import { objectFileName } from './layout.ts'
import { readManifest } from './read-manifest.ts'

export interface BadObject {
  readonly object: ObjectRow
  /** What is wrong with it, in words. */
  readonly problem: string
  readonly checkpoints: readonly {
    checkpoint: CheckpointRow
    paths: readonly string[]
    jobs: readonly JobUse[]
  }[]
}

export interface VerifyProgress {
  checkedObjects: number
  checkedBytes: number
  totalBytes: number
}

/** Paths named of one bad object; a content may be in a tree many times. */
const MAX_PATHS = 20
/** Objects read at the same time: one a store thread keeps the disk busy and jobs unharmed. */
const PARALLEL = 2

/**
 * Reads every object of a manifest (or of the whole store) and compares it with its name. A bad
 * one is moved to `quarantine/`, its row marked, and the views that hold it are retired: no new
 * mounts. Running ones keep what they have and are named.
 */
export async function verifyStore(
  context: IngestContext,
  options: {
    manifestId?: number
    signal: AbortSignal
    onProgress: (progress: VerifyProgress) => void
    onBad: (bad: BadObject) => void
  },
): Promise<VerifyProgress> {
  const { database } = context
  const progress: VerifyProgress = { checkedObjects: 0, checkedBytes: 0, totalBytes: 0 }
  const page = (after: number): ObjectRow[] =>
    options.manifestId === undefined
      ? database.objects.listAfter(after)
      : database.objects.listOfManifestAfter(options.manifestId, after)
  progress.totalBytes =
    options.manifestId === undefined
      ? database.usage.getStore().physical_bytes
      : (database.manifests.get(options.manifestId)?.size_bytes ?? 0)

  const checkOne = async (row: ObjectRow): Promise<void> => {
    if (row.state === 'deleting') return
    const problem = row.state === 'quarantined' ? 'it is quarantined' : await check(context, row)
    progress.checkedObjects += 1
    progress.checkedBytes += row.size_bytes
    // It may have been removed while it was read.
    const now = database.objects.get(row.id)
    if (problem !== undefined && now !== undefined && now.state !== 'deleting') {
      const bad = await describe(context, row, problem)
      if (now.state === 'live') await quarantine(context, row)
      options.onBad(bad)
    }
    options.onProgress(progress)
  }

  for (let after = 0; ; ) {
    const rows = page(after)
    const last = rows.at(-1)
    if (last === undefined) return progress
    const queue = [...rows]
    await Promise.all(
      Array.from({ length: PARALLEL }, async () => {
        for (let row = queue.shift(); row !== undefined; row = queue.shift()) {
          options.signal.throwIfAborted()
          await checkOne(row)
        }
      }),
    )
    after = last.id
  }
}

function check({ layout, threads }: IngestContext, row: ObjectRow): Promise<string | undefined> {
  const executable = row.executable === 1
  return threads.use((remote) =>
    remote.verifyObject({
      path: layout.object({ ...row, executable }),
      sha256: row.sha256,
      sizeBytes: row.size_bytes,
      mode: executable ? 0o555 : 0o444,
    }),
  )
}

async function quarantine(
  { database, layout, threads, writer }: IngestContext,
  row: ObjectRow,
): Promise<void> {
  const key = { ...row, executable: row.executable === 1 }
  const aside = join(layout.quarantine, `${row.domain}.${objectFileName(key)}.${row.id}`)
  // Whoever brings the content again meanwhile waits, or its sound file would be moved aside.
  await writer.withoutNaming(row, async () => {
    // Marked before it is moved: a crash in between leaves a marked object, never a trusted one.
    const marked = database.transaction(() => {
      if (database.objects.get(row.id)?.state !== 'live') return false
      for (const manifest of database.manifests.listOfObject(row.id))
        database.views.retireOfManifest(manifest.id)
      // A further inode is not repaired but forgotten: the first one serves the next view.
      if (row.copy > 0) database.manifests.dropReferencesTo(row.id)
      database.objects.setState(row.id, row.copy > 0 ? 'deleting' : 'quarantined')
      return true
    })
    if (!marked) return
    await database.flush()
    await threads.use((remote) => remote.moveAside(layout.object(key), aside))
  })
}

async function describe(
  { database, layout }: IngestContext,
  object: ObjectRow,
  problem: string,
): Promise<BadObject> {
  const checkpoints: BadObject['checkpoints'][number][] = []
  for (const manifest of database.manifests.listOfObject(object.id)) {
    const paths = await pathsOf(layout.manifest(manifest.domain, manifest.digest), object)
    for (const checkpoint of database.checkpoints.listByManifest(manifest.id))
      checkpoints.push({ checkpoint, paths, jobs: database.jobs.listUses(checkpoint.id) })
  }
  return { object, problem, checkpoints }
}

/** The first paths of an object in a manifest; none where the manifest is damaged as well. */
async function pathsOf(manifest: string, object: ObjectRow): Promise<string[]> {
  const paths: string[] = []
  try {
    for await (const entry of readManifest(manifest)) {
      if (entry.kind !== 'file' || entry.sha256 !== object.sha256) continue
      if (entry.executable === (object.executable === 1)) paths.push(entry.path)
      if (paths.length === MAX_PATHS) break
    }
  } catch (error) {
    const known = error instanceof CkptdError && error.code === 'corrupt'
    if (!known && !isErrno(error, 'ENOENT')) throw fileError(error, `reading ${manifest}`)
  }
  return paths
}
