import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
} from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { isErrno } from '../os/errno.ts'
import {
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_SHARED,
  mkdirat,
  mount,
  mountSetattr,
  O_PATH,
  unlinkat,
  unmount,
} from '../os/linux.ts'
import {
  DIRECTORY,
  descriptor,
  openBeneath,
  openMounted,
  READABLE_DIRECTORY,
  unlessErrno,
  whatIsAt,
} from './descriptor.ts'
import type { Logger } from './logger.ts'
import type { JobsMount } from './mount-host.ts'
import { mountIdOf, readOwnTable } from './own-table.ts'

const SOURCE = 'ckptd-jobs'
/** Directories and release records only: 100,000 workers need about 300,000 inodes. */
const TMPFS_OPTIONS = 'mode=0700,size=256m,nr_inodes=1m'

/**
 * Makes `<runtime>/jobs` a mount of its own, or takes over the one a former helper made. Of its
 * own, because attaching a mount takes longer the more mounts there are on the mount that holds
 * its target. Shared, because then an unmount here also unmounts the copies in mount namespaces
 * that were cloned as slaves of this one (every sandboxed unit of systemd is one), which would
 * otherwise keep a view in use for ever.
 */
export function openJobsMount(runtimeDir: string): JobsMount {
  mkdirSync(runtimeDir, { recursive: true, mode: 0o755 })
  const realRuntimeDir = realpathSync(runtimeDir)
  const path = `${realRuntimeDir}/jobs`
  using runtime = descriptor(openSync(realRuntimeDir, O_PATH | constants.O_DIRECTORY))
  assertRootsOwn(runtime.fd, realRuntimeDir)
  unlessErrno('EEXIST', () => mkdirat(runtime.fd, 'jobs', 0o700))
  if (whatIsAt(runtime.fd, 'jobs') === 'entry') mountTmpfs(runtime.fd)
  const { fd } = openMounted(runtime.fd, 'jobs', READABLE_DIRECTORY)
  try {
    const mountId = mountIdOf(fd)
    const entry = readOwnTable().find(({ id }) => id === mountId)
    if (entry?.type !== 'tmpfs' || entry.source !== SOURCE || entry.root !== '/')
      throw new CkptdError('mount_failed', `${path} is a mount of somebody else’s; unmount it`)
    mountSetattr(fd, { set: 0, propagation: MS_SHARED })
    return { path, fd, mountId, device: entry.device }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/**
 * Whoever may rename or remove names in the runtime directory can put something else at the
 * paths that root's container runtime binds, and detach every mount of `jobs` from a mount
 * namespace of his own.
 */
function assertRootsOwn(fd: number, path: string): void {
  const { uid, mode } = fstatSync(fd)
  const isSticky = (mode & 0o1000) !== 0
  if (uid === 0 && (isSticky || (mode & 0o022) === 0)) return
  throw new CkptdError(
    'invalid_config',
    `the runtime directory ${path} must be root’s, and sticky where others may write to it ("chown root ${path} && chmod 1775 ${path}")`,
  )
}

function mountTmpfs(runtimeFd: number): void {
  using target = openBeneath(runtimeFd, 'jobs', DIRECTORY)
  const flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
  mount(SOURCE, `/proc/self/fd/${target.fd}`, 'tmpfs', flags, TMPFS_OPTIONS)
}

/** At a clean stop: goes only where no worker is mounted or being released. */
export function closeJobsMount(jobs: JobsMount, runtimeDir: string, log: Logger): void {
  const isEmpty = readdirSync(`/proc/self/fd/${jobs.fd}`).length === 0
  closeSync(jobs.fd)
  if (!isEmpty) return
  try {
    unmount(jobs.path)
    using runtime = descriptor(openSync(runtimeDir, O_PATH | constants.O_DIRECTORY))
    unlinkat(runtime.fd, 'jobs', { directory: true })
  } catch (error) {
    if (!isErrno(error, 'EBUSY')) throw error
    log.warn({ err: error }, `${jobs.path} is in use and stays mounted`)
  }
}
