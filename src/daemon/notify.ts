import { sendDatagram } from '../os/linux.ts'

/**
 * The systemd notify protocol; silent where nobody asked for it. `watchdogMs` is how often the
 * manager wants a sign of life, halved.
 */
export interface ServiceManager {
  readonly watchdogMs: number | undefined
  notify(state: 'READY=1' | 'STOPPING=1' | 'WATCHDOG=1' | `STATUS=${string}`): void
}

export function serviceManager(environment: NodeJS.ProcessEnv): ServiceManager {
  const socket = environment['NOTIFY_SOCKET']
  const watchdogUs = Number(environment['WATCHDOG_USEC'] ?? 0)
  return {
    watchdogMs: watchdogUs > 0 ? watchdogUs / 2000 : undefined,
    notify: (state) => {
      if (socket === undefined) return
      try {
        sendDatagram(socket, state)
      } catch (error) {
        // A manager that is gone needs no news.
        process.stderr.write(`telling the service manager failed: ${String(error)}\n`)
      }
    },
  }
}

/** The first descriptor that a service manager passes (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3

/** The listening socket that was passed to this process, if any: by systemd or by `ckptd serve`. */
export function passedSocket(environment: NodeJS.ProcessEnv): number | undefined {
  const forMe = environment['LISTEN_PID'] === undefined || Number(environment['LISTEN_PID']) === process.pid
  return forMe && Number(environment['LISTEN_FDS'] ?? 0) >= 1 ? LISTEN_FDS_START : undefined
}
