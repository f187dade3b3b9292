import { closeSync, constants, mkdirSync, openSync } from 'node:fs'
import type { Server, Socket } from 'node:net'
import { CkptdError } from '../model/errors.ts'
import { tryLockFile } from '../os/linux.ts'
import { sweepOutputs } from './discard-output.ts'
import { assertKernel, assertRoot, warnIfHidden } from './host-requirements.ts'
import { closeJobsMount, openJobsMount } from './jobs-mount.ts'
import { listen, removeSocket } from './listen.ts'
import type { Logger } from './logger.ts'
import type { MountHost } from './mount-host.ts'
import { createPeerGate } from './peer-gate.ts'
import { servePeer } from './peer-session.ts'
import { recoverWorkers } from './recover.ts'
import { createVerbs } from './verbs.ts'

export interface MountdOptions {
  readonly dataDir: string
  readonly runtimeDir: string
  readonly cdiDir: string
  /** Where containers see their checkpoint and output: "/opt/trainml". */
  readonly containerPrefix: string
  /** The first part of the variables that name these places: "TRAINML". */
  readonly envPrefix: string
  /** The daemon's user: it alone (and root) is served, and owns the data directory. */
  readonly peerUid: number
  readonly peerGid: number
  /** A path, or a listening descriptor handed over; default: `<runtimeDir>/mountd.sock`. */
  readonly socket?: string | { readonly fd: number }
  readonly log: Logger
  readonly signal: AbortSignal
  /** Called when connections are accepted. */
  readonly onReady?: () => void
}

/**
 * The privileged helper: serves the daemon until the signal fires. Mounts outlive it; the next
 * one finds them in the kernel's table.
 */
export async function runMountd(options: MountdOptions): Promise<void> {
  assertKernel()
  assertRoot()
  warnIfHidden(options.log)
  mkdirSync(options.runtimeDir, { recursive: true, mode: 0o755 })
  const lockFd = lock(`${options.runtimeDir}/mountd.lock`)
  try {
    await serve(options)
  } finally {
    closeSync(lockFd)
  }
}

function lock(path: string): number {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW
  const fd = openSync(path, flags, 0o600)
  if (tryLockFile(fd)) return fd
  closeSync(fd)
  throw new CkptdError('runtime_locked', `another mount helper is running: it holds ${path}`)
}

async function serve(options: MountdOptions): Promise<void> {
  const { runtimeDir, peerUid, peerGid, log, signal } = options
  const jobs = openJobsMount(runtimeDir)
  const host: MountHost = { ...options, jobs }
  try {
    recoverWorkers(host)
    const sweeping = sweepOutputs(host)
    const { verbs, settle } = createVerbs(host)
    const peers = new Set<Socket>()
    const admit = createPeerGate({ peerUid, log }, (peer) => servePeer(peer, verbs, log))
    const socket = options.socket ?? `${runtimeDir}/mountd.sock`
    const server = listen({
      socket,
      owner: { uid: peerUid, gid: peerGid },
      onConnection: (peer) => {
        peers.add(peer)
        peer.once('close', () => peers.delete(peer))
        admit(peer)
      },
    })
    log.info({ jobs: jobs.path }, 'the mount helper is ready')
    options.onReady?.()
    await untilStopped(server, signal)
    if (typeof socket === 'string') removeSocket(socket)
    await Promise.all([settle(), sweeping])
    for (const peer of peers) peer.destroySoon()
  } finally {
    closeJobsMount(jobs, runtimeDir, log)
  }
}

async function untilStopped(server: Server, signal: AbortSignal): Promise<void> {
  const failed = new Promise<never>((_, reject) => server.once('error', reject))
  const stopped = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
    if (signal.aborted) resolve()
  })
  try {
    await Promise.race([stopped, failed])
  } finally {
    server.close()
  }
}
