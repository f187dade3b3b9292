import { dirname, join } from 'node:path'
import type { CheckpointRow } from '../database/checkpoints.ts'
import type { JobUse } from '../database/jobs.ts'
import type { ManifestRow } from '../database/manifests.ts'
import type { ObjectRow } from '../database/objects.ts'
import type { Sha256 } from '../model/digest.ts'
import { CkptdError } from '../model/errors.ts'
import type { IngestContext } from './ingest.ts'
import { objectFileName, viewName } from './layout.ts'
import { readManifest } from './read-manifest.ts'

export interface Damage {
  readonly kind: 'object' | 'manifest' | 'view'
  /** Of the object's bytes; of the manifest, also where its view is meant. */
  readonly sha256: Sha256
  readonly executable: boolean
  /** What is wrong with it, in words. */
  readonly problem: string
  /** Those of all projects that have it. */
  readonly checkpoints: readonly {
    checkpoint: CheckpointRow
    /** Where the object is in its tree. */
    paths: readonly string[]
    jobs: readonly JobUse[]
  }[]
}

export interface VerifyProgress {
  checkedObjects: number
  checkedBytes: number
  totalBytes: number
}

interface VerifyOptions {
  /** By default the whole store. */
  readonly manifestId?: number
  readonly signal: AbortSignal
  readonly onProgress: (progress: VerifyProgress) => void
  readonly onBad: (bad: Damage) => void
}

/** Paths named of one bad object; a content may be in a tree many times. */
const MAX_PATHS = 20
/** Objects read at the same time: one a store thread keeps the disk busy and jobs unharmed. */
const PARALLEL = 2

/**
 * Reads the manifest and every object of a manifest (or of the whole store), compares them with
 * their names, and compares the live view with the manifest. A bad object is moved to
 * `quarantine/`, its row marked, and the views that hold it are retired: no new mounts. A bad
 * view is retired, and the next use builds another. A bad manifest stays: nothing is built from
 * it, and publishing the same tree replaces it. Running mounts keep what they have and are named.
 */
export async function verifyStore(
  context: IngestContext,
  options: VerifyOptions,
): Promise<VerifyProgress> {
  const { database } = context
  const manifests =
    options.manifestId === undefined
      ? database.manifests.list()
      : [database.manifests.get(options.manifestId)].filter((row) => row !== undefined)
  const progress: VerifyProgress = {
    checkedObjects: 0,
    checkedBytes: 0,
    totalBytes:
      options.manifestId === undefined
        ? database.usage.getStore().physical_bytes
        : (manifests[0]?.size_bytes ?? 0),
  }
  await verifyObjects(context, options, progress)
  for (const manifest of manifests) {
    options.signal.throwIfAborted()
    await verifyManifest(context, manifest, options.onBad)
  }
  return progress
}

async function verifyObjects(
  context: IngestContext,
  options: VerifyOptions,
  progress: VerifyProgress,
): Promise<void> {
  const { database } = context
  const page = (after: number): ObjectRow[] =>
    options.manifestId === undefined
      ? database.objects.listAfter(after)
      : database.objects.listOfManifestAfter(options.manifestId, after)
  const checkOne = async (row: ObjectRow): Promise<void> => {
    if (row.state === 'deleting') return
    const problem = row.state === 'quarantined' ? 'it is quarantined' : await check(context, row)
    progress.checkedObjects += 1
    progress.checkedBytes += row.size_bytes
    // It may have been removed while it was read.
    const now = database.objects.get(row.id)
    if (problem !== undefined && now !== undefined && now.state !== 'deleting') {
      const bad = await describeObject(context, row, problem)
      if (now.state === 'live') await quarantine(context, row)
      options.onBad(bad)
    }
    options.onProgress(progress)
  }

  for (let after = 0; ; ) {
    const rows = page(after)
    const last = rows.at(-1)
    if (last === undefined) return
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

async function verifyManifest(
  { database, layout, threads }: IngestContext,
  manifest: ManifestRow,
  onBad: (bad: Damage) => void,
): Promise<void> {
  const { id, domain, digest } = manifest
  const path = layout.manifest(domain, digest)
  const report = (kind: Damage['kind'], problem: string): void =>
    onBad({
      kind,
      sha256: digest,
      executable: false,
      problem,
      checkpoints: database.checkpoints.listByManifest(id).map((checkpoint) => ({
        checkpoint,
        paths: [],
        jobs: database.jobs.listUses(checkpoint.id),
      })),
    })
  // One that is being removed, or not yet anybody's, may have no file.
  const isSettled = (): boolean =>
    database.manifests.get(id)?.state === 'live' &&
    database.checkpoints.listByManifest(id).some(({ status }) => status === 'ready')

  const problem = await threads.use((remote) =>
    remote.verifyObject({ path, sha256: digest, mode: 0o444 }),
  )
  if (problem !== undefined) return isSettled() ? report('manifest', problem) : undefined

  const view = database.views.findLive(id)
  if (view === undefined) return
  const viewProblem = await threads.use((remote) =>
    remote.verifyView({
      manifest: path,
      objects: dirname(layout.object({ domain, sha256: digest, executable: false, copy: 0 })),
      path: layout.view(domain, viewName(digest, view.generation)),
      domain,
      manifestId: id,
    }),
  )
  // It may have been retired or removed while it was looked at.
  if (viewProblem === undefined || database.views.get(view.id)?.state !== 'live') return
  database.views.retireOfManifest(id)
  await database.flush()
  report('view', viewProblem)
}

async function describeObject(
  { database, layout }: IngestContext,
  object: ObjectRow,
  problem: string,
): Promise<Damage> {
  const checkpoints: Damage['checkpoints'][number][] = []
  for (const manifest of database.manifests.listOfObject(object.id)) {
    const paths = await pathsOf(layout.manifest(manifest.domain, manifest.digest), object)
    for (const checkpoint of database.checkpoints.listByManifest(manifest.id))
      checkpoints.push({ checkpoint, paths, jobs: database.jobs.listUses(checkpoint.id) })
  }
  const { sha256, executable } = object
  return { kind: 'object', sha256, executable: executable === 1, problem, checkpoints }
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
    if (!(error instanceof CkptdError) || error.code !== 'corrupt') throw error
  }
  return paths
}
