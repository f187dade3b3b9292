import { randomUUID } from 'node:crypto'
import type { Progress } from '../agent-protocol/checkpoint.ts'
import { encodeSidecar } from '../cache/sidecar.ts'
import type { Store } from '../cache/store.ts'
import type { CheckpointRow } from '../database/checkpoints.ts'
import type { IngestRow } from '../database/ingests.ts'
import { parseCheckpointName } from '../model/checkpoint-name.ts'
import { CkptdError } from '../model/errors.ts'
import { type CheckpointId, isUuid, type Project, parseCheckpointId } from '../model/ids.ts'
import { type ChangeSignal, changeSignal } from './change-signal.ts'
import type { Log } from './log.ts'

/** The records of checkpoints: everything but the filling of them. */
export interface Checkpoints {
  /** Records a checkpoint in status `new`, durably, with the ingest that will fill it. */
  create(input: NewCheckpoint): Promise<CheckpointRow>
  /** By id, else the newest of that name in the project; another project's is unknown. */
  get(project: Project, reference: string): CheckpointRow
  list(project: Project): CheckpointRow[]
  rename(id: CheckpointId, name: string): Promise<CheckpointRow>
  /** Appends to its creation log. */
  log(id: CheckpointId, line: string): void
  /** How far its filling is; undefined once it ended. */
  setProgress(id: CheckpointId, progress: Progress | undefined): void
  progress(id: CheckpointId): Progress | undefined
  /** Told at every log line, change of status and step of progress. */
  changed(id: CheckpointId): ChangeSignal
  /** Resolves with the checkpoint once it is ready; throws `checkpoint_failed` or `not_found`. */
  waitReady(id: CheckpointId, signal?: AbortSignal): Promise<CheckpointRow>
  fail(id: CheckpointId, error: CkptdError): Promise<void>
}

export interface NewCheckpoint {
  readonly project: Project
  readonly name: string
  readonly sourceType: string
  readonly sourceUri: string
  readonly sourceOptions: Readonly<Record<string, string>>
  readonly sealedSource: Buffer | null
  readonly ingest: IngestRow['kind']
  readonly ingestState: unknown
  /** Runs in the transaction that records the checkpoint. */
  readonly alsoRecord?: (id: CheckpointId) => void
}

export function openCheckpoints(
  store: Store,
  options: { sharing: 'host' | 'project'; now: () => number; log: Log },
): Checkpoints {
  const { database, layout, threads } = store
  const signals = new Map<CheckpointId, ChangeSignal>()
  const progresses = new Map<CheckpointId, Progress>()

  const changed = (id: CheckpointId): ChangeSignal => {
    const existing = signals.get(id) ?? changeSignal()
    signals.set(id, existing)
    return existing
  }
  const find = (project: Project, reference: string): CheckpointRow | undefined => {
    const row = isUuid(reference) ? database.checkpoints.find(reference) : undefined
    if (row?.project === project) return row
    return database.checkpoints.findByName(project, reference)
  }

  const checkpoints: Checkpoints = {
    create: async (input) => {
      const id = parseCheckpointId(randomUUID())
      const name = parseCheckpointName(input.name)
      const domain = options.sharing === 'host' ? 'host' : `project-${input.project}`
      store.ensureDomain(domain)
      database.transaction(() => {
        database.checkpoints.insert({
          id,
          project: input.project,
          name,
          domain,
          source_type: input.sourceType,
          source_uri: input.sourceUri,
          source_options: JSON.stringify(input.sourceOptions),
          sealed_source: input.sealedSource,
          created_at_ms: options.now(),
        })
        database.ingests.insert(id, input.ingest, input.ingestState)
        input.alsoRecord?.(id)
      })
      await database.flush()
      options.log.info(
        { checkpoint: id, project: input.project, name, source: input.sourceType },
        'checkpoint created',
      )
      return checkpoints.get(input.project, id)
    },
    get: (project, reference) => {
      const row = find(project, reference)
      if (row === undefined || row.status === 'removing')
        throw new CkptdError(
          'not_found',
          `Checkpoint Not Found - the project "${project}" has none with the id or name "${reference}"`,
          { details: { reference } },
        )
      return row
    },
    list: (project) =>
      database.checkpoints.listProject(project).filter(({ status }) => status !== 'removing'),
    rename: async (id, newName) => {
      const name = parseCheckpointName(newName)
      const row = database.checkpoints.find(id)
      if (row === undefined) throw removedMeanwhile(id)
      if (row.status === 'ready' && row.manifest_id !== null) {
        const digest = database.manifests.get(row.manifest_id)?.digest ?? ''
        await threads.use((remote) =>
          remote.writeFileDurably(layout.sidecar(id), encodeSidecar({ ...row, name }, digest)),
        )
      }
      database.checkpoints.setName(id, name)
      await database.flush()
      changed(id).notify()
      return checkpoints.get(row.project, id)
    },
    log: (id, line) => {
      if (database.checkpoints.find(id) === undefined) return
      database.log.append(id, options.now(), line)
      options.log.debug({ checkpoint: id }, line)
      changed(id).notify()
    },
    setProgress: (id, progress) => {
      if (progress === undefined) progresses.delete(id)
      else progresses.set(id, progress)
      changed(id).notify()
    },
    progress: (id) => progresses.get(id),
    changed,
    waitReady: async (id, signal) => {
      for (;;) {
        signal?.throwIfAborted()
        const row = database.checkpoints.find(id)
        if (row === undefined || row.status === 'removing') throw removedMeanwhile(id)
        if (row.status === 'ready') return row
        if (row.status === 'failed')
          throw new CkptdError(
            'checkpoint_failed',
            `the checkpoint "${row.name}" failed: ${failureMessage(row)}`,
            {
              details: { checkpoint: id },
            },
          )
        await changed(id).wait(signal === undefined ? {} : { signal })
      }
    },
    fail: async (id, error) => {
      const { code, message, details } = error
      database.transaction(() => {
        database.checkpoints.setFailed(id, { code, message, details })
        database.log.append(id, options.now(), `Failed: ${message}`)
      })
      await database.flush()
      options.log.warn({ checkpoint: id, code }, message)
      progresses.delete(id)
      changed(id).notify()
    },
  }
  return checkpoints
}

function removedMeanwhile(id: CheckpointId): CkptdError {
  return new CkptdError('not_found', `Checkpoint Not Found - ${id} was removed`, {
    details: { checkpoint: id },
  })
}

function failureMessage(row: CheckpointRow): string {
  return row.error === null
    ? 'unknown reason'
    : (JSON.parse(row.error) as { message: string }).message
}
