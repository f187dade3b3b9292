import { join } from 'node:path'
import type { Ingest, PlannedFile } from '../../cache/ingest.ts'
import { quoteName, type RelativePath } from '../../model/relative-path.ts'
import { memberError } from './archive-error.ts'
import { type Extracted, type ExtractionParent, stagedBytes } from './extraction-protocol.ts'
import type { ExtractionRequest } from './extraction-request.ts'
import type { LinkMember, SymlinkMember } from './member.ts'
import { memberPlan } from './member-plan.ts'
import type { ProgressKeeper } from './progress-keeper.ts'
import type { SpaceAccount } from './space-account.ts'
import type { StoreQueue } from './store-queue.ts'
import type { StoredFrontier } from './stored-frontier.ts'

/** What the taking in of members and of large files shares. */
export interface AdmissionContext {
  readonly request: ExtractionRequest
  readonly progress: ProgressKeeper
  readonly queue: StoreQueue
  readonly space: SpaceAccount
  readonly frontier: StoredFrontier
}

/** Takes reported members into the tree: planned in the archive's order, then stored in any. */
export function admitMembers(context: AdmissionContext): ExtractionParent['report'] {
  const { frontier, progress, queue, request, space } = context
  const { ingest, name } = request
  return async (members, readBytes) => {
    ingest.together(() => planMembers(ingest, name, members))
    let files = 0
    let bytes = 0
    const storing: Promise<unknown>[] = []
    const store = (path: RelativePath, work: Promise<unknown>, sizeBytes: number): void => {
      storing.push(work)
      queue.add(path, work, sizeBytes)
    }
    for (const member of members)
      if (member.kind === 'file') {
        const { executable, path, sizeBytes, stagingName } = member
        const file = join(ingest.directory, stagingName)
        store(path, ingest.storeFile({ path, file, executable, sizeBytes }), sizeBytes)
        space.take(stagedBytes(sizeBytes))
        files += 1
        bytes += sizeBytes
      } else if (member.kind === 'link') {
        const { path, target } = member
        const link = queue.stored(target).then(() => ingest.storeLink(path, target))
        store(path, link, 0)
      }
    const [first] = members
    if (first !== undefined) frontier.add(first, Promise.all(storing))
    progress.wrote(files, bytes, readBytes)
    await queue.room()
  }
}

function planMembers(ingest: Ingest, archive: string, members: readonly Extracted[]): void {
  let files: PlannedFile[] = []
  const planFiles = (): void => {
    if (files.length > 0) ingest.planFiles(files)
    files = []
  }
  for (const member of members)
    if (member.kind === 'directory') ingest.addDirectory(member.path)
    else if (member.kind === 'symlink') addSymlink(ingest, member)
    else if (member.kind === 'file')
      files.push({
        path: member.path,
        sizeBytes: member.sizeBytes,
        plan: memberPlan(member.index),
      })
    else {
      // It may lead to a file of this batch.
      planFiles()
      files.push(planLink(ingest, archive, member))
    }
  planFiles()
}

function addSymlink(ingest: Ingest, { path, target }: SymlinkMember): void {
  const recorded = ingest.find(path)
  // By an earlier run; or the archive says the same thing twice.
  if (recorded?.kind === 'symlink' && recorded.target === target) return
  ingest.addSymlink(path, target)
}

function planLink(
  ingest: Ingest,
  archive: string,
  { index, path, target }: LinkMember,
): PlannedFile {
  const earlier = ingest.find(target)
  if (earlier?.kind !== 'file')
    throw memberError(
      archive,
      path,
      `is a hard link to ${quoteName(target)}, which is ${earlier === undefined ? 'not among the members before it' : `a ${earlier.kind}`}`,
    )
  const sizeBytes = earlier.size_bytes ?? undefined
  return { path, sizeBytes, plan: memberPlan(index) }
}
