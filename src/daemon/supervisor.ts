import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { fileError } from '../os/errno.ts'
import { claimDataDirectory } from './claim-data-directory.ts'
import type { Config } from './config.ts'
import { daemonUser } from './daemon-user.ts'
import { EXIT } from './exit-status.ts'
import { openSocket, removeSocket } from './listen.ts'
import { createLog } from './log.ts'
import { supervisorPipe } from './supervisor-pipe.ts'

/** A child that dies is started again after so long, doubled each time it dies soon. */
const FIRST_RESTART_MS = 100
const MAX_RESTART_MS = 10_000
/** A child that lived so long was well. */
const HEALTHY_MS = 10_000
/** A child that has not ended by then is killed. */
const STOP_MS = 30_000

interface Child {
  readonly name: string
  readonly start: () => ChildProcess
  /** Statuses after which another start would end the same way. */
  readonly permanent: ReadonlySet<number>
}

/**
 * `ckptd serve` as root: opens the listening socket, so that callers only wait while the daemon
 * restarts, and keeps the two processes running: the unprivileged daemon and the mount helper.
 * It does nothing else. Returns the exit status: that of a child which cannot be helped by
 * another start, else 0 once the signal is aborted. Should it be killed, both children end by
 * themselves, in order.
 */
export async function runSupervisor(
  config: Config,
  childArguments: readonly string[],
  signal: AbortSignal,
): Promise<number> {
  const log = createLog(config, 'ckptd-serve')
  const { uid, gid } = daemonUser(config.user)
  claimDataDirectory(config.data_dir, { uid, gid })
  makeRuntimeDirectory(config.runtime_dir)
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

  const failed = new AbortController()
  const stop = AbortSignal.any([signal, failed.signal])
  stop.addEventListener('abort', () => removeSocket(config), { once: true })
  let status: number = EXIT.ok
  const keep = async ({ name, start, permanent }: Child): Promise<void> => {
    for (let pauseMs = FIRST_RESTART_MS; !stop.aborted; ) {
      const startedMs = Date.now()
      const ended = await childEnd(start(), stop)
      if (stop.aborted) return
      if (typeof ended === 'number' && permanent.has(ended)) {
        log.error({ child: name, status: ended }, 'a process cannot run; another start is no use')
        status = ended
        failed.abort()
        return
      }
      pauseMs =
        Date.now() - startedMs > HEALTHY_MS
          ? FIRST_RESTART_MS
          : Math.min(pauseMs * 2, MAX_RESTART_MS)
      log.error(
        { child: name, ended, restart_in_ms: pauseMs },
        'a process ended; it is started again',
      )
      await sleep(pauseMs, undefined, { signal: stop }).catch(() => undefined)
    }
  }
  await Promise.all([
    keep({
      name: 'mountd',
      permanent: new Set([EXIT.usage, EXIT.config]),
      start: () =>
        spawn(process.execPath, program('mountd'), {
          stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
          env: {
            ...process.env,
            LISTEN_FDS: undefined,
            LISTEN_PID: undefined,
            ...supervisorPipe(3),
          },
        }),
    }),
    keep({
      name: 'daemon',
      permanent: new Set([
        EXIT.usage,
        EXIT.storeNewer,
        EXIT.locked,
        EXIT.notPermitted,
        EXIT.config,
      ]),
      start: () =>
        spawn(process.execPath, program('daemon'), {
          stdio: ['ignore', 'inherit', 'inherit', socketFd, 'pipe'],
          uid,
          gid,
          env: { ...process.env, LISTEN_FDS: '1', LISTEN_PID: undefined, ...supervisorPipe(4) },
        }),
    }),
  ])
  return status
}

function makeRuntimeDirectory(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 })
  } catch (error) {
    throw fileError(error, `making the runtime directory ${path}`)
  }
}

/**
 * Waits until a child ended, and how: its status, or in words. Asks it to end when the signal is
 * aborted, and insists later.
 */
function childEnd(child: ChildProcess, signal: AbortSignal): Promise<number | string> {
  // The pipe is there to be closed with this process; a child that breaks it has ended.
  for (const stream of child.stdio) stream?.on('error', () => undefined)
  return new Promise((resolve) => {
    let insist: NodeJS.Timeout | undefined
    const stop = (): void => {
      child.kill('SIGTERM')
      insist = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    }
    const done = (how: number | string): void => {
      signal.removeEventListener('abort', stop)
      clearTimeout(insist)
      resolve(how)
    }
    child.once('error', (error) => done(error.message))
    child.once('exit', (code, killedBy) => done(killedBy ?? code ?? EXIT.failure))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}
