import { sendDatagram } from '../os/linux.ts'

type State = 'READY=1' | 'STOPPING=1' | 'WATCHDOG=1' | `STATUS=${string}`

/**
 * The systemd notify protocol (sd_notify(3)); silent where nobody asked for it. `watchdogMs` is
 * half of the time within which the manager wants a sign of life.
 */
export interface ServiceManager {
  readonly watchdogMs: number | undefined
  /** Until READY=1 the manager is also told, again and again, that the start goes on. */
  notify(state: State): void
}

/** How often a start that goes on is reported, and how much time is asked for each time. */
const STARTING_INTERVAL_MS = 10_000
const STARTING_EXTENSION_US = 60_000_000

export function serviceManager(environment: NodeJS.ProcessEnv): ServiceManager {
  const socket = environment['NOTIFY_SOCKET']
  const watchdogUs = Number(environment['WATCHDOG_USEC'] ?? 0)
  const send = (text: string): void => {
    if (socket === undefined) return
    try {
      sendDatagram(socket, text)
    } catch (error) {
      // A manager that is gone needs no news.
      process.stderr.write(`telling the service manager failed: ${String(error)}\n`)
    }
  }
  const starting = setInterval(
    () => send(`EXTEND_TIMEOUT_USEC=${STARTING_EXTENSION_US}`),
    STARTING_INTERVAL_MS,
  ).unref()
  return {
    watchdogMs: watchdogUs > 0 ? watchdogUs / 2000 : undefined,
    notify: (state) => {
      if (state === 'READY=1' || state === 'STOPPING=1') clearInterval(starting)
      // What was said of the start is no longer true.
      send(state === 'READY=1' ? 'READY=1\nSTATUS=ready' : state)
    },
  }
}

/** The first descriptor that a service manager passes (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3

/** The listening socket that was passed to this process, if any: by systemd or by `ckptd serve`. */
export function passedSocket(environment: NodeJS.ProcessEnv): number | undefined {
  const forMe =
    environment['LISTEN_PID'] === undefined || Number(environment['LISTEN_PID']) === process.pid
  return forMe && Number(environment['LISTEN_FDS'] ?? 0) >= 1 ? LISTEN_FDS_START : undefined
}
