import { readlinkSync } from 'node:fs'
import { release } from 'node:os'
import { CkptdError } from '../model/errors.ts'
import { unlessErrno } from './descriptor.ts'
import type { Logger } from './logger.ts'

/** `mount_setattr` came with 5.12; everything else used here is older. */
const OLDEST = [5, 12] as const

export function assertKernel(version: string = release()): void {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  if (major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1])) return
  throw new CkptdError(
    'unsupported_host',
    `the mount helper needs Linux ${OLDEST.join('.')} or newer and this is ${version}`,
  )
}

export function assertRoot(): void {
  if (process.geteuid?.() !== 0)
    throw new CkptdError('permission_denied', 'the mount helper must be run by root')
}

/** Any `Protect…` or `Private…` setting of a unit puts it in a mount namespace of its own. */
export function warnIfHidden(log: Logger): void {
  const hosts = unlessErrno('EACCES', () => readlinkSync('/proc/1/ns/mnt'))
  if (hosts !== undefined && hosts !== readlinkSync('/proc/self/ns/mnt'))
    log.warn(
      {},
      'this process is not in the host’s mount namespace: its mounts are visible only here',
    )
}
