import { Socket } from 'node:net'

const VARIABLE = 'CKPTD_SUPERVISOR_FD'

/** Tells a child of the supervisor at which descriptor it holds its end of their pipe. */
export function supervisorPipe(fd: number): Record<string, string> {
  return { [VARIABLE]: String(fd) }
}

/**
 * Calls back when the supervisor that started this process is gone, whatever ended it: the
 * kernel then closes its end of the pipe. Nothing is ever written to it. Does nothing in a
 * process that no supervisor started; children of this one are not told of the pipe.
 */
export function onSupervisorGone(environment: NodeJS.ProcessEnv, callback: () => void): void {
  const fd = environment[VARIABLE]
  if (fd === undefined) return
  delete environment[VARIABLE]
  const pipe = new Socket({ fd: Number(fd), readable: true, writable: false })
  pipe.on('error', () => undefined)
  pipe.once('close', callback)
  pipe.resume()
  pipe.unref()
}
