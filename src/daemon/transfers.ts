import type { Progress } from '../agent-protocol/checkpoint.ts'
import type { Store } from '../cache/store.ts'
import type { CheckpointRow } from '../database/checkpoints.ts'
import type { EntryTotals } from '../database/entries.ts'
import { parseCheckpointName } from '../model/checkpoint-name.ts'
import { CkptdError, toErrorRecord } from '../model/errors.ts'
import type { CheckpointId, Project } from '../model/ids.ts'
import { extractArchive } from '../sources/archive/extract.ts'
import type { Fetcher } from '../sources/fetcher.ts'
import { parseSourceLocation } from '../sources/location.ts'
import { runTransfer } from '../sources/transfer.ts'
import type { Checkpoints } from './checkpoints.ts'
import type { Log } from './log.ts'
import type { Sealer } from './seal.ts'

/** The filling of checkpoints from their sources. */
export interface Transfers {
  /** Refuses what breaks a rule and stores nothing then; else records and starts the transfer. */
  create(project: Project, input: CreateInput): Promise<CheckpointRow>
  /** Goes on with every transfer that was under way when the daemon ended. */
  resume(): void
  /** Ends a transfer and waits until it has let go of everything. */
  cancel(id: CheckpointId): Promise<void>
  /** Stops all; each goes on at the next start. */
  stop(): Promise<void>
  readonly running: number
}

export interface CreateInput {
  readonly name: string
  readonly sourceType: string
  readonly sourceUri: string
  readonly sourceOptions: Readonly<Record<string, string>>
}

export function openTransfers(context: {
  store: Store
  checkpoints: Checkpoints
  fetcher: Fetcher
  sealer: Sealer
  log: Log
  now: () => number
}): Transfers {
  const { store, checkpoints, fetcher, sealer, now } = context
  const { database } = store
  const running = new Map<CheckpointId, { controller: AbortController; ended: Promise<void> }>()

  const run = async (row: CheckpointRow, signal: AbortSignal): Promise<void> => {
    const { id } = row
    const uri = row.sealed_source === null ? row.source_uri : sealer.unseal(row.sealed_source)
    const options = JSON.parse(row.source_options) as Record<string, string>
    const location = parseSourceLocation(row.source_type, uri, options)
    if (row.status === 'new') {
      database.checkpoints.setStatus(id, 'downloading')
      checkpoints.log(id, `Starting data download from ${row.source_type}`)
    } else checkpoints.log(id, 'Going on after a restart')
    checkpoints.setProgress(id, STARTING)
    const log = (line: string): void => checkpoints.log(id, line)
    const ingest = store.openIngest(id, row.domain)
    const { pinnedSource } = await runTransfer({
      ingest,
      location,
      space: store.space,
      fetcher,
      extract: extractArchive,
      log,
      onProgress: (progress) => checkpoints.setProgress(id, progress),
      signal,
    })
    signal.throwIfAborted()
    checkpoints.setProgress(id, publishing(ingest.totals()))
    database.checkpoints.setPinnedSource(id, pinnedSource)
    await store.publisher.publish(id, now())
    checkpoints.log(id, 'Download complete')
    checkpoints.setProgress(id, undefined)
    context.log.info({ checkpoint: id }, 'checkpoint ready')
    await store.removal.dropIngest(id)
  }

  const start = (row: CheckpointRow): void => {
    if (running.has(row.id)) return
    const controller = new AbortController()
    const { signal } = controller
    const ended = run(row, signal)
      .catch(async (error: unknown) => {
        // Stopped or removed: whoever aborted decides what becomes of it.
        if (signal.aborted || database.checkpoints.find(row.id)?.status === 'ready') return
        const known = error instanceof CkptdError
        if (!known)
          context.log.error({ checkpoint: row.id, err: error }, 'a transfer failed unexpectedly')
        const { code, message, details } = toErrorRecord(error)
        await checkpoints.fail(row.id, new CkptdError(code, message, { details: { ...details } }))
        await store.removal.dropIngest(row.id)
      })
      .catch((error: unknown) =>
        context.log.error({ checkpoint: row.id, err: error }, 'cleaning up failed'),
      )
      .finally(() => {
        running.delete(row.id)
        checkpoints.setProgress(row.id, undefined)
      })
    running.set(row.id, { controller, ended })
  }

  return {
    get running() {
      return running.size
    },
    create: async (project, input) => {
      parseCheckpointName(input.name)
      const location = parseSourceLocation(input.sourceType, input.sourceUri, input.sourceOptions)
      const row = await checkpoints.create({
        project,
        name: input.name,
        sourceType: input.sourceType,
        sourceUri: location.displayUri,
        sourceOptions: input.sourceOptions,
        sealedSource: location.displayUri === input.sourceUri ? null : sealer.seal(input.sourceUri),
        ingest: 'transfer',
        ingestState: {},
      })
      start(row)
      return row
    },
    resume: () => {
      for (const { checkpoint_id: id, kind } of database.ingests.list()) {
        const row = database.checkpoints.find(id)
        if (kind === 'transfer' && (row?.status === 'new' || row?.status === 'downloading'))
          start(row)
      }
    },
    cancel: async (id) => {
      const transfer = running.get(id)
      transfer?.controller.abort(new CkptdError('cancelled', 'the filling was cancelled'))
      await transfer?.ended
    },
    stop: async () => {
      for (const { controller } of running.values())
        controller.abort(new CkptdError('unavailable', 'the daemon is stopping'))
      await Promise.all([...running.values()].map(({ ended }) => ended))
    },
  }
}

const STARTING: Progress = { phase: 'starting', bytes_done: 0, files_done: 0, bytes_per_second: 0 }

function publishing(totals: EntryTotals): Progress {
  return {
    phase: 'publishing',
    bytes_done: totals.stored_bytes,
    bytes_total: totals.stored_bytes,
    files_done: totals.stored_files,
    files_total: totals.stored_files,
    bytes_per_second: 0,
  }
}
