import type { IngestFile } from '../../cache/ingest-file.ts'
import type { AdmissionContext } from './admit-members.ts'
import type { ExtractedFile, ExtractionParent } from './extraction-protocol.ts'
import { memberPlan } from './member-plan.ts'

/** Of a file that is whole: what may still have to reach the disk. */
const FINISHING_BYTES = 64 * 1024 * 1024

type LargeHandlers = Pick<ExtractionParent, 'openLarge' | 'advanceLarge' | 'finishLarge'>

/**
 * Files that are hashed and made durable behind the thread that writes them; one is written at
 * a time, and the one before may still be on its way into the store.
 */
export function largeFiles({ frontier, progress, queue, request, space }: AdmissionContext): {
  readonly handlers: LargeHandlers
  /** Lets go of a file that was not finished; what is durable of it stays recorded. */
  close(): Promise<void>
} {
  const { ingest, source } = request
  let opening: Promise<IngestFile> | undefined
  let writing: { file: ExtractedFile; key: string; opened: IngestFile; written: number } | undefined

  const current = (): NonNullable<typeof writing> => {
    if (writing === undefined) throw new Error('no large file is open')
    return writing
  }
  const finish = async ({ file, key, opened }: NonNullable<typeof writing>): Promise<void> => {
    const { executable, path, sizeBytes } = file
    await using open = opened
    const knownSha256 = await open.finish(sizeBytes)
    await ingest.storeOpened({ path, file: open.path, executable, sizeBytes, key, knownSha256 })
  }
  const handlers: LargeHandlers = {
    openLarge: async (file) => {
      const { index, path, sizeBytes } = file
      ingest.planFiles([{ path, sizeBytes, plan: memberPlan(index) }])
      const key = `member ${index}`
      opening = ingest.openFile(key, `${source.version}:${sizeBytes}`)
      const opened = await opening
      writing = { file, key, opened, written: opened.durableBytes }
      return { path: opened.path, durableBytes: opened.durableBytes }
    },
    advanceLarge: async (writtenBytes, readBytes) => {
      const large = current()
      const bytes = writtenBytes - large.written
      large.written = writtenBytes
      space.take(bytes)
      progress.wrote(0, bytes, readBytes)
      await large.opened.advance(writtenBytes)
    },
    finishLarge: async () => {
      const large = current()
      opening = writing = undefined
      const work = finish(large)
      queue.add(large.file.path, work, FINISHING_BYTES)
      frontier.add(large.file, work)
      progress.wroteFile()
      await queue.room()
    },
  }
  const close = async (): Promise<void> => {
    const unfinished = await opening?.catch(() => undefined)
    await unfinished?.[Symbol.asyncDispose]()
  }
  return { handlers, close }
}
