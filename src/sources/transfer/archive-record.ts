import type { Ingest } from '../../cache/ingest.ts'
import { FIRST_MEMBER, type MemberPlace } from '../archive/member.ts'
import type { ResumableVersion } from './file-version.ts'

/** What is recorded of an archive that is extracted while it arrives. */
export interface ArchiveRecord {
  readonly version: ResumableVersion
  /** Everything before it is stored. */
  place(): MemberPlace
  setPlace(place: MemberPlace): void
}

interface Recorded {
  readonly archive?: ResumableVersion & { readonly place: MemberPlace }
}

/** Records an archive's version, of which nothing is stored yet. */
export function newArchiveRecord(ingest: Ingest, version: ResumableVersion): ArchiveRecord {
  const { pin, sizeBytes } = version
  const recorded: Recorded = { archive: { pin, sizeBytes, place: FIRST_MEMBER } }
  ingest.setState(recorded)
  return recordOf(ingest, version)
}

export function findArchiveRecord(ingest: Ingest): ArchiveRecord | undefined {
  const { archive } = ingest.state() as Recorded
  return archive && recordOf(ingest, { pin: archive.pin, sizeBytes: archive.sizeBytes })
}

export function forgetArchiveRecord(ingest: Ingest): void {
  ingest.setState({} satisfies Recorded)
}

function recordOf(ingest: Ingest, version: ResumableVersion): ArchiveRecord {
  return {
    version,
    place: () => (ingest.state() as Recorded).archive?.place ?? FIRST_MEMBER,
    setPlace: (place) => {
      const recorded: Recorded = { archive: { ...version, place } }
      ingest.setState(recorded)
    },
  }
}
