import { CommandError } from '../command-error.ts'
import { locateRun } from './locate-run.ts'
import { readRunOptions } from './run-options.ts'

/** Stands, as an argument of its own, where the mount's arguments are to go. */
const MARKER = '{ckpt}'
/** Stands anywhere in an argument for the worker's number. */
const WORKER = '{worker}'

const MARKER_HINT = `Put the argument ${MARKER} among the options of "run": the mounts’ arguments go there.`

/** A runtime's command line, read: where the mounts go, and how to ask for its container. */
export interface ContainerCommand {
  /** Up to where the mounts' arguments go; ends with the word `run` unless a marker stands. */
  readonly before: readonly string[]
  readonly after: readonly string[]
  /** The runtime and its global options; undefined where they cannot be told. */
  readonly runtime?: readonly string[]
  readonly cidfile?: string
}

/** Throws a usage error for what can't be run, or not so that its end could be seen. */
export function parseContainerCommand(command: readonly string[]): ContainerCommand {
  const markers = command.filter((word) => word === MARKER).length
  if (markers > 1) throw new CommandError('usage', `the argument ${MARKER} stands more than once`)
  const words = command.filter((word) => word !== MARKER)
  const marker = markers === 0 ? undefined : command.indexOf(MARKER)
  if (marker === 0) throw new CommandError('usage', `${MARKER} stands where the program should`)
  const runAt = findRun(words, marker)
  // A script of the user's that takes the arguments at the marker; it is itself waited for.
  if (runAt === undefined) return { before: words.slice(0, marker), after: words.slice(marker) }
  const options = readRunOptions(words, runAt + 1)
  refuseDetach(options.detach)
  const insertAt = marker ?? runAt + 1
  if (insertAt <= runAt || insertAt > options.imageAt)
    throw new CommandError('usage', `${MARKER} does not stand among the options of "run"`, {
      hint: 'Put it between "run" and the image.',
    })
  if (options.sure && options.imageAt >= words.length)
    throw new CommandError('usage', `no image follows the options of "${words[0]} … run"`)
  return {
    before: words.slice(0, insertAt),
    after: words.slice(insertAt),
    runtime: words.slice(0, words[runAt - 1] === 'container' ? runAt - 1 : runAt),
    ...(options.cidfile === undefined ? {} : { cidfile: options.cidfile }),
  }
}

/** With a marker, what cannot be told is taken to be the last `run` before it. */
function findRun(words: readonly string[], marker: number | undefined): number | undefined {
  const location = locateRun(words)
  if (location.kind === 'found') return location.index
  if (marker !== undefined && location.kind === 'unsure') {
    const last = words.lastIndexOf('run', marker - 1)
    return last < 1 ? undefined : last
  }
  throw new CommandError(
    'usage',
    location.kind === 'none'
      ? location.why
      : `cannot tell where the mounts’ arguments go: ${location.why}`,
    {
      hint: location.kind === 'none' ? 'Give a "podman … run …" command after "--".' : MARKER_HINT,
    },
  )
}

function refuseDetach(option: string | undefined): void {
  if (option === undefined) return
  throw new CommandError(
    'usage',
    `"${option}" would leave the container in the background, where its end cannot be seen`,
    { hint: 'Leave it out, and put "ckpt run" itself in the background if need be.' },
  )
}

/** Every `{worker}` becomes the worker's number. */
export function forWorker(words: readonly string[], worker: number): string[] {
  return words.map((word) => word.replaceAll(WORKER, String(worker)))
}
