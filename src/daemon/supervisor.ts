import { type ChildProcess, spawn } from 'node:child_process'
import { chownSync, mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Config } from './config.ts'
import { daemonUser } from './daemon-user.ts'
import { openSocket } from './listen.ts'
import { createLog } from './log.ts'

/** A child that dies is started again after so long, doubled each time it dies soon. */
const FIRST_RESTART_MS = 100
const MAX_RESTART_MS = 10_000
/** A child that lived so long was well. */
const HEALTHY_MS = 10_000
/** A child that has not ended by then is killed. */
const STOP_MS = 30_000

/**
 * `ckptd serve` as root: opens the listening socket, so that callers only wait while the daemon
 * restarts, and keeps the two processes running: the unprivileged daemon and the mount helper.
 * It does nothing else.
 */
export async function runSupervisor(
  config: Config,
  childArguments: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const log = createLog(config, 'ckptd-serve')
  const { uid, gid } = daemonUser(config.user)
  mkdirSync(config.data_dir, { recursive: true, mode: 0o700 })
  chownSync(config.data_dir, uid, gid)
  mkdirSync(config.runtime_dir, { recursive: true, mode: 0o755 })
  const socketFd = await openSocket(config)
  const entry = fileURLToPath(
    import.meta.resolve(
      './ckptd.ts'.replace(/\.ts$/, import.meta.url.endsWith('.ts') ? '.ts' : '.js'),
    ),
  )
  const program = (command: string): string[] => [
    ...process.execArgv,
    entry,
    command,
    ...childArguments,
  ]

  const stopChildren = new AbortController()
  const keep = async (name: string, start: () => ChildProcess): Promise<void> => {
    for (let pauseMs = FIRST_RESTART_MS; !stopChildren.signal.aborted; ) {
      const startedMs = Date.now()
      const child = start()
      const ended = await childEnd(child, stopChildren.signal)
      if (stopChildren.signal.aborted) return
      pauseMs =
        Date.now() - startedMs > HEALTHY_MS
          ? FIRST_RESTART_MS
          : Math.min(pauseMs * 2, MAX_RESTART_MS)
      log.error(
        { child: name, ended, restart_in_ms: pauseMs },
        'a process ended; it is started again',
      )
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }
  const running = Promise.all([
    keep('mountd', () =>
      spawn(process.execPath, program('mountd'), {
        stdio: ['ignore', 'inherit', 'inherit'],
      }),
    ),
    keep('daemon', () =>
      spawn(process.execPath, program('daemon'), {
        stdio: ['ignore', 'inherit', 'inherit', socketFd],
        uid,
        gid,
        env: { ...process.env, LISTEN_FDS: '1', LISTEN_PID: undefined },
      }),
    ),
  ])
  await new Promise<void>((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  stopChildren.abort()
  await running
}

/** Waits until a child ended; asks it to end when the signal is aborted, and insists later. */
function childEnd(child: ChildProcess, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    let insist: NodeJS.Timeout | undefined
    const stop = (): void => {
      child.kill('SIGTERM')
      insist = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    }
    const done = (how: string): void => {
      signal.removeEventListener('abort', stop)
      clearTimeout(insist)
      resolve(how)
    }
    child.once('error', (error) => done(error.message))
    child.once('exit', (code, killedBy) => done(killedBy ?? `status ${code}`))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
