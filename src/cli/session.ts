import { type ApiClient, openApiClient } from './api/api-client.ts'
import { CommandError } from './command-error.ts'
import type { Io } from './io.ts'
import { jsonText } from './text/printable.ts'
import { shellWord } from './text/shell-word.ts'

const DEFAULT_SOCKET = '/run/ckptd/ckptd.sock'
const DEFAULT_PROJECT = 'default'

/** The options every command takes. */
export interface GlobalOptions {
  readonly socket?: string
  readonly project?: string
  readonly json?: boolean
}

/** What a command works with: where it talks to, for whom, and how it answers. */
export interface Session extends AsyncDisposable {
  readonly io: Io
  readonly api: ApiClient
  readonly json: boolean
  /** One document on stdout with --json, else the text; the text is not made without need. */
  readonly answer: (value: unknown, text: () => string) => void
  /** The width that tables have to fit, in columns: undefined but on a terminal. */
  readonly tableColumns: number | undefined
  /** A command line of `ckpt` that talks to the same daemon for the same project. */
  readonly commandLine: (command: string) => string
}

export function openSession(io: Io, options: GlobalOptions): Session {
  const socket = pick(options.socket, io.env['CKPTD_SOCKET'], DEFAULT_SOCKET)
  const project = pick(options.project, io.env['CKPT_PROJECT'], DEFAULT_PROJECT)
  const api = openApiClient(socket, project)
  const json = options.json === true
  return {
    io,
    api,
    json,
    answer(value, text) {
      io.stdout.write(json ? `${jsonText(value)}\n` : text())
    },
    tableColumns: io.stdout.isTTY ? io.stdout.columns() : undefined,
    commandLine(command) {
      const where = options.socket === undefined ? '' : ` --socket ${shellWord(socket)}`
      const whose = options.project === undefined ? '' : ` --project ${shellWord(project)}`
      return `ckpt ${command}${where}${whose}`
    },
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  }
}

/** The flag, else the variable, else the default; an empty variable counts as not set. */
function pick(flag: string | undefined, variable: string | undefined, otherwise: string): string {
  if (flag === '') throw new CommandError('usage', '--socket and --project must not be empty')
  return flag ?? (variable === undefined || variable === '' ? otherwise : variable)
}
