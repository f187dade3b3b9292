import { CkptdError } from '../model/errors.ts'
import { MAX_PATH_PART_BYTES } from '../model/limits.ts'
import { quoteName, utf8Length } from '../model/relative-path.ts'

// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const FORBIDDEN = /[/\u0000-\u001f\u007f-\u009f]/

/** Checks that a name is one component that can stand below a directory and nowhere else. */
export function assertComponent(name: string): void {
  const refuse = (why: string): never => {
    throw new CkptdError('invalid_request', `the directory ${quoteName(name)} ${why}`)
  }
  if (name === '') refuse('is empty')
  if (name === '.' || name === '..') refuse('is no name')
  if (!name.isWellFormed()) refuse('is not valid Unicode')
  if (FORBIDDEN.test(name)) refuse('contains "/" or a control character')
  if (utf8Length(name) > MAX_PATH_PART_BYTES) refuse(`is longer than ${MAX_PATH_PART_BYTES} bytes`)
}
