import type { Reservation } from '../../cache/space.ts'
import { failpoint } from '../../os/failpoint.ts'
import type { ArchiveFormat } from '../archive/archive-format.ts'
import type { ExtractionRequest } from '../archive/extraction-request.ts'
import type { Engine } from './engine.ts'
import { fetchLargeFile } from './fetch-large-file.ts'
import { describeVersion, encodeWhole, parseWhole } from './file-version.ts'

/** The key of the spooled archive's partial record. */
const SPOOL_KEY = 'archive'

export interface ArchiveTransfer {
  readonly name: string
  readonly format: ArchiveFormat
  readonly reservation: Reservation
  readonly extract: (request: ExtractionRequest) => Promise<void>
}

/**
 * Fetches an archive into staging, durably, and extracts it. The spool stays until the whole
 * ingest goes: a restart before that finds in its record what was fetched. Returns that.
 */
export async function transferArchive(engine: Engine, archive: ArchiveTransfer): Promise<string> {
  const { ingest } = engine
  const recorded = parseWhole(ingest.findPartial(SPOOL_KEY)?.version ?? '')
  // All members were stored by an earlier run.
  if (ingest.isPlanned() && recorded !== undefined) return recorded.pinned
  const spool = await ensureSpool(engine, archive)
  await extract(engine, archive, spool)
  ingest.markPlanned()
  return spool.pinned
}

interface Spool {
  readonly path: string
  readonly sizeBytes: number
  readonly pinned: string
}

async function ensureSpool(engine: Engine, { name }: ArchiveTransfer): Promise<Spool> {
  const { ingest, meter } = engine
  const version = ingest.findPartial(SPOOL_KEY)?.version ?? ''
  const recorded = parseWhole(version)
  if (recorded !== undefined) {
    await using opened = await ingest.openFile(SPOOL_KEY, version)
    // Less than all of it: its bytes on disk are not the recorded ones, and it is fetched anew.
    if (opened.durableBytes === recorded.sizeBytes) return { ...recorded, path: opened.path }
    await opened.discard()
  }
  return fetchLargeFile(
    engine,
    {
      key: SPOOL_KEY,
      href: '',
      name,
      onPinned: (_, sizeBytes) => meter.setTotals({ bytes: sizeBytes, files: undefined }),
    },
    async (opened, { pin, sizeBytes }) => {
      await opened.advance(sizeBytes)
      const pinned = describeVersion(engine.displayUri, pin, sizeBytes)
      await opened.flushAs(encodeWhole({ sizeBytes, pinned }))
      failpoint('transfer.file-fetched')
      return { path: opened.path, sizeBytes, pinned }
    },
  )
}

async function extract(engine: Engine, archive: ArchiveTransfer, spool: Spool): Promise<void> {
  const { ingest, log, meter, signal } = engine
  const { format, name, reservation } = archive
  log(`Extracting ${name}`)
  meter.setPhase('extracting')
  meter.setTotals({ bytes: spool.sizeBytes, files: undefined })
  let files = 0
  await archive.extract({
    format,
    name,
    spool,
    ingest,
    reservation,
    log,
    signal,
    onProgress: ({ readBytes, writtenFiles, waitingFor }) => {
      meter.setPart(SPOOL_KEY, readBytes)
      meter.setReceived(readBytes)
      meter.addDone(writtenFiles - files, 0)
      files = writtenFiles
      meter.setWaiting('extraction', waitingFor)
    },
  })
}
