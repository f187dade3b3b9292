import type { Reservation } from '../../cache/space.ts'
import { CkptdError } from '../../model/errors.ts'
import { formatBytes } from '../../model/size-text.ts'
import { failpoint } from '../../os/failpoint.ts'
import type { ArchiveFormat } from '../archive/archive-format.ts'
import { type ArchiveSource, spooledArchive } from '../archive/archive-source.ts'
import type { ExtractionRequest } from '../archive/extraction-request.ts'
import type { LargeHead } from '../fetch/messages.ts'
import {
  type ArchiveRecord,
  findArchiveRecord,
  forgetArchiveRecord,
  newArchiveRecord,
} from './archive-record.ts'
import { arrivingArchive } from './arriving-archive.ts'
import type { Engine } from './engine.ts'
import { fetchLargeFile, refuseTooLarge } from './fetch-large-file.ts'
import { describeVersion, encodeWhole, parseVersion, parseWhole } from './file-version.ts'
import { canFreeBehind } from './unnamed-file.ts'

/** The key of the spooled archive's partial record. */
const SPOOL_KEY = 'archive'

export interface ArchiveTransfer {
  readonly name: string
  readonly format: ArchiveFormat
  readonly reservation: Reservation
  readonly extract: (request: ExtractionRequest) => Promise<void>
}

/** Forms of which a reader can begin at any member. */
const SEEKABLE: readonly ArchiveFormat[] = ['tar', 'zip']

/**
 * Fetches an archive and extracts it: while it arrives, where a restart could go on at a member;
 * else from a durable spool. Returns what exactly was fetched.
 */
export async function transferArchive(engine: Engine, archive: ArchiveTransfer): Promise<string> {
  const { ingest, session } = engine
  const record = findArchiveRecord(ingest)
  if (record !== undefined) return extractArriving(engine, archive, record)
  if (hasSpool(engine)) return extractSpooled(engine, archive)
  const head = await session.openLarge('', false)
  try {
    const { pin, ranged, sizeBytes } = head
    const arrives =
      ranged &&
      sizeBytes !== undefined &&
      SEEKABLE.includes(archive.format) &&
      (await canFreeBehind(ingest))
    if (!arrives) return await extractSpooled(engine, archive, head)
    refuseTooLarge(archive, sizeBytes)
    const version = { pin, sizeBytes }
    return await extractArriving(engine, archive, newArchiveRecord(ingest, version), head)
  } finally {
    if (!engine.signal.aborted) await session.dropLarge(head.id)
  }
}

async function extractArriving(
  engine: Engine,
  archive: ArchiveTransfer,
  record: ArchiveRecord,
  head?: LargeHead,
): Promise<string> {
  const { displayUri, ingest, log, session } = engine
  const { pin, sizeBytes } = record.version
  const pinned = describeVersion(displayUri, pin, sizeBytes)
  // All members were stored by an earlier run.
  if (ingest.isPlanned()) return pinned
  const size = formatBytes(sizeBytes)
  log(
    head === undefined
      ? `Going on with ${archive.name} (${size}): members that are stored are passed over`
      : `Fetching ${archive.name} (${size}) in parts and extracting them as they arrive`,
  )
  const source = arrivingArchive(engine, archive.name, record, head)
  try {
    await extract(engine, archive, source)
  } catch (error) {
    if (!source.partsRefused) throw error
    log(`${archive.name} is fetched as a whole: the server does not send parts of it after all`)
    // Members of the pinned version that are stored keep the record of it; see `assertSame`.
    if (ingest.totals().entries === 0) forgetArchiveRecord(ingest)
    return extractSpooled(engine, archive)
  }
  await session.confirm('', pin)
  ingest.markPlanned()
  return pinned
}

function hasSpool({ ingest }: Engine): boolean {
  const { durableBytes, version } = ingest.findPartial(SPOOL_KEY) ?? {
    durableBytes: 0,
    version: '',
  }
  return (
    parseWhole(version) !== undefined || (durableBytes > 0 && parseVersion(version) !== undefined)
  )
}

/**
 * The spool stays until the whole ingest goes: a restart before that finds in its record what
 * was fetched.
 */
async function extractSpooled(
  engine: Engine,
  archive: ArchiveTransfer,
  head?: LargeHead,
): Promise<string> {
  const { ingest, log } = engine
  const recorded = parseWhole(ingest.findPartial(SPOOL_KEY)?.version ?? '')
  // All members were stored by an earlier run.
  if (ingest.isPlanned() && recorded !== undefined) return recorded.pinned
  const spool = await ensureSpool(engine, archive, head)
  assertSame(engine, archive, spool)
  log(`Extracting ${archive.name}`)
  await extract(engine, archive, spooledArchive(spool.path, spool.sizeBytes))
  ingest.markPlanned()
  return spool.pinned
}

/** Members that were stored while the archive arrived must be of the one that is spooled now. */
function assertSame({ displayUri, ingest }: Engine, { name }: ArchiveTransfer, spool: Spool): void {
  const record = findArchiveRecord(ingest)
  if (record === undefined) return
  const { pin, sizeBytes } = record.version
  const pinned = describeVersion(displayUri, pin, sizeBytes)
  if (pinned !== spool.pinned)
    throw new CkptdError(
      'origin_changed',
      `${name} changed while it was fetched: first ${pinned}, then ${spool.pinned}`,
    )
}

interface Spool {
  readonly path: string
  readonly sizeBytes: number
  readonly pinned: string
}

async function ensureSpool(
  engine: Engine,
  { name }: ArchiveTransfer,
  head: LargeHead | undefined,
): Promise<Spool> {
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
      ...(head === undefined ? {} : { head }),
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

async function extract(
  engine: Engine,
  archive: ArchiveTransfer,
  source: ArchiveSource,
): Promise<void> {
  const { ingest, log, meter, signal } = engine
  const { format, name, reservation } = archive
  meter.setPhase('extracting')
  meter.setTotals({ bytes: source.sizeBytes, files: undefined })
  let files = 0
  await archive.extract({
    format,
    name,
    source,
    ingest,
    reservation,
    log,
    signal,
    onProgress: ({ readBytes, writtenFiles, waitingFor }) => {
      meter.setPart(SPOOL_KEY, readBytes)
      // While it arrives, the network says how fast it goes.
      if (source.arrives) meter.setReceived(readBytes)
      meter.addDone(writtenFiles - files, 0)
      files = writtenFiles
      meter.setWaiting('extraction', waitingFor)
    },
  })
}
