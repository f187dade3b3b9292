import { CkptdError } from './errors.ts'
import type { CheckpointId } from './ids.ts'
import { MAX_NAME_BYTES } from './limits.ts'
import { utf8Length } from './relative-path.ts'

declare const nameBrand: unique symbol
/** 1 to 200 bytes of UTF-8 without "/", NUL and control characters, not ".", ".." or "public". */
export type CheckpointName = string & { readonly [nameBrand]: true }

// oxlint-disable-next-line no-control-regex -- control characters are what is refused
const FORBIDDEN = /[/\u0000-\u001f\u007f-\u009f]/

/** `GET /checkpoint/public` is another resource: a checkpoint of that name could not be asked for. */
const RESERVED = 'public'

export function parseCheckpointName(text: string): CheckpointName {
  const refuse = (why: string): never => {
    throw new CkptdError('invalid_name', `Invalid Request - the name ${why}`)
  }
  if (text === '') refuse('is empty')
  if (!text.isWellFormed()) refuse('is not valid Unicode')
  if (FORBIDDEN.test(text)) refuse('contains "/" or a control character')
  if (text === '.' || text === '..') refuse(`is "${text}"`)
  if (text === RESERVED) refuse(`is "${text}", which stands for the list of public checkpoints`)
  if (utf8Length(text) > MAX_NAME_BYTES) refuse(`is longer than ${MAX_NAME_BYTES} bytes`)
  return text as CheckpointName
}

/**
 * The name under which a worker's output is saved: `Job - <job>`, or `Job - <job> Worker <n>`
 * where the job has several workers. Characters a name may not hold become "_", and a job's
 * name that is too long loses its end, never the worker's number.
 */
export function outputCheckpointName(
  jobName: string,
  worker: number,
  workerCount: number,
): CheckpointName {
  const suffix = workerCount > 1 ? ` Worker ${worker}` : ''
  const room = MAX_NAME_BYTES - utf8Length(`Job - ${suffix}`)
  const characters = Array.from(jobName.toWellFormed().replaceAll(new RegExp(FORBIDDEN, 'g'), '_'))
  while (utf8Length(characters.join('')) > room) characters.pop()
  return parseCheckpointName(`Job - ${characters.join('')}${suffix}`)
}

/**
 * The directory of each checkpoint of a job below its mount: the checkpoint's name; where a
 * name occurs again, the later one gets "-" and the first eight characters of its id.
 * The order of the answer is the order of the job's list; all names in it differ.
 */
export function checkpointDirectories(
  checkpoints: readonly { readonly id: CheckpointId; readonly name: CheckpointName }[],
): string[] {
  const taken = new Set<string>()
  return checkpoints.map(({ id, name }) => {
    let directory: string = name
    for (let digits = 8; taken.has(directory); digits += 1) {
      const suffix = `-${id.slice(0, digits)}`
      const characters = Array.from(name)
      while (utf8Length(characters.join('') + suffix) > 255) characters.pop()
      directory = characters.join('') + suffix
      if (digits > 36)
        throw new CkptdError('invalid_request', `the checkpoint ${id} is named twice in one job`)
    }
    taken.add(directory)
    return directory
  })
}
