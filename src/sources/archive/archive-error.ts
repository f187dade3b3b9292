import { CkptdError } from '../../model/errors.ts'
import { quoteName } from '../../model/relative-path.ts'

/** What is wrong with an archive as a whole. */
export function archiveError(archive: string, why: string, cause?: unknown): CkptdError {
  return new CkptdError('bad_archive', `the archive ${quoteName(archive)} ${why}`, {
    details: { archive: archive.slice(0, 400) },
    cause,
  })
}

/** What is wrong with one member; `member` is its name as far as it can be shown. */
export function memberError(
  archive: string,
  member: string,
  why: string,
  cause?: unknown,
): CkptdError {
  return new CkptdError(
    'bad_archive',
    `the member ${quoteName(member)} of the archive ${quoteName(archive)} ${why}`,
    { details: { archive: archive.slice(0, 400), member: member.slice(0, 400) }, cause },
  )
}
