import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { EXIT_CODES, exitOfSignal } from '../exit-codes.ts'

interface ChildExit {
  /** As a shell has it: 128 and the signal's number where a signal ended it. */
  readonly status: number
  /** Why it never started, in a sentence. */
  readonly notStarted?: string
}

export interface Child {
  readonly exited: Promise<ChildExit>
  /** False where it is not there any more. */
  kill(signal: NodeJS.Signals): boolean
}

export interface ChildCommand {
  readonly argv: readonly string[]
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdio: StdioOptions
}

/** Starts a program; that it can't be started is an exit of its own, never an exception. */
export function startChild({ argv, env, stdio }: ChildCommand): Child {
  const [program = '', ...args] = argv
  let child: ChildProcess
  try {
    child = spawn(program, args, { env, stdio })
  } catch (error) {
    const notStarted = `"${program}" cannot be started: ${String(error)}`
    const { status } = EXIT_CODES.not_executable
    return { exited: Promise.resolve({ status, notStarted }), kill: () => false }
  }
  const exited = new Promise<ChildExit>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      const { status } =
        error.code === 'ENOENT' ? EXIT_CODES.no_such_command : EXIT_CODES.not_executable
      resolve({ status, notStarted: whyNotStarted(program, error) })
    })
    child.once('exit', (code, signal) => {
      resolve({ status: signal === null ? (code ?? 1) : exitOfSignal(signal) })
    })
  })
  return { exited, kill: (signal) => child.kill(signal) }
}

/** What to install, of the programs that are usual here. */
const INSTALL: ReadonlyMap<string, string> = new Map([
  [
    'podman',
    'Install it ("apt-get install podman"), or run the command itself with --no-container.',
  ],
  ['docker', 'Install it, or run the command itself with --no-container.'],
  ['unshare', 'Install it ("apt-get install util-linux").'],
])

function whyNotStarted(program: string, { code, message }: NodeJS.ErrnoException): string {
  if (code === 'EACCES') return `"${program}" may not be executed`
  if (code !== 'ENOENT') return `"${program}" cannot be started: ${message}`
  const install =
    INSTALL.get(program.slice(program.lastIndexOf('/') + 1)) ?? 'See its spelling and PATH.'
  return `there is no program "${program}". ${install}`
}
