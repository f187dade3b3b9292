import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import type { Clock } from '../io.ts'

const execute = promisify(execFile)

/** How to ask for a container: the runtime with its global options, and where its id stands. */
export interface ContainerHandle {
  readonly runtime: readonly string[]
  readonly cidfile: string
}

type ContainerState =
  | { readonly kind: 'gone' }
  | { readonly kind: 'stopped'; readonly status?: number }
  | { readonly kind: 'alive'; readonly waitable: boolean }
  | { readonly kind: 'unknown'; readonly why: string }

const ALIVE: ReadonlyMap<string, { readonly waitable: boolean }> = new Map([
  ['running', { waitable: true }],
  ['paused', { waitable: true }],
  ['restarting', { waitable: true }],
  ['stopping', { waitable: false }],
  ['removing', { waitable: false }],
])

const POLL_MS = 500
/** A runtime that cannot be asked so often is given up; the daemon looks for itself before it releases. */
const MAX_UNKNOWN = 10

export interface ContainerEnd {
  /** Undefined where nothing of it is left to ask. */
  readonly status?: number
  /** Whether it went on after the runtime's client had ended. */
  readonly outlived: boolean
}

interface Watch {
  readonly clock: Clock
  /** Told once, when the container is found to go on. */
  readonly onOutlived: () => void
  readonly onUnknown: (why: string) => void
}

/** The id the runtime wrote; undefined where it made no container. */
export async function readContainerId(cidfile: string): Promise<string | undefined> {
  try {
    const id = (await readFile(cidfile, 'utf8')).trim()
    return /^[0-9a-f]{12,64}$/.test(id) ? id : undefined
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/**
 * Waits until the container runs no more. The runtime's client may have ended before it: killed,
 * or detached from by its keys.
 */
export async function untilContainerGone(
  runtime: readonly string[],
  id: string,
  { clock, onOutlived, onUnknown }: Watch,
): Promise<ContainerEnd> {
  let outlived = false
  let waited: number | undefined
  for (let unknown = 0; ; ) {
    const state = await inspect(runtime, id)
    switch (state.kind) {
      case 'gone':
        return { outlived, ...(waited === undefined ? {} : { status: waited }) }
      case 'stopped':
        return { outlived, ...state }
      case 'alive':
        if (!outlived) onOutlived()
        outlived = true
        if (state.waitable) waited = (await wait(runtime, id)) ?? waited
        break
      case 'unknown':
        onUnknown(state.why)
        if (++unknown >= MAX_UNKNOWN) return { outlived }
    }
    await clock.sleep(POLL_MS)
  }
}

/** For a container whose client, which would have passed it on, is gone. */
export async function signalContainer(
  runtime: readonly string[],
  id: string,
  signal: NodeJS.Signals,
): Promise<void> {
  await ask(runtime, ['kill', '--signal', signal, id])
}

async function inspect(runtime: readonly string[], id: string): Promise<ContainerState> {
  const format = '{{.State.Status}} {{.State.ExitCode}}'
  const { failed, stdout, stderr } = await ask(runtime, ['inspect', '--format', format, id])
  if (failed) {
    // podman, docker: "no such container", perhaps with a capital letter.
    if (/no such container/i.test(stderr)) return { kind: 'gone' }
    return { kind: 'unknown', why: stderr.trim().slice(0, 300) }
  }
  const [status = '', code] = stdout.trim().split(' ')
  const alive = ALIVE.get(status)
  return alive === undefined
    ? { kind: 'stopped', ...(Number.isInteger(Number(code)) ? { status: Number(code) } : {}) }
    : { kind: 'alive', ...alive }
}

/** Blocks until it has ended; its exit status, where the runtime can still tell. */
async function wait(runtime: readonly string[], id: string): Promise<number | undefined> {
  const { failed, stdout } = await ask(runtime, ['wait', id])
  const text = stdout.trim()
  return !failed && /^\d+$/.test(text) ? Number(text) : undefined
}

interface RuntimeAnswer {
  readonly failed: boolean
  readonly stdout: string
  readonly stderr: string
}

async function ask(runtime: readonly string[], words: readonly string[]): Promise<RuntimeAnswer> {
  const [program = '', ...globals] = runtime
  try {
    const answer = await execute(program, [...globals, 'container', ...words])
    return { failed: false, ...answer }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const stderr = 'stderr' in error && typeof error.stderr === 'string' ? error.stderr : ''
    return { failed: true, stdout: '', stderr: stderr === '' ? error.message : stderr }
  }
}
