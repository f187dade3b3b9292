import { chmodSync, chownSync, lstatSync, mkdirSync, unlinkSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { CkptdError } from '../model/errors.ts'
import { unlinkIfPresentSync } from '../os/durable.ts'
import { fileError } from '../os/errno.ts'
import { listenUnix } from '../os/linux.ts'
import type { Config } from './config.ts'
import { groupFromDatabase } from './id-from-database.ts'

/** Connections that wait while the daemon restarts. */
const BACKLOG = 511

export function socketPath(config: Pick<Config, 'runtime_dir'>): string {
  return join(config.runtime_dir, 'ckptd.sock')
}

/**
 * Opens the API's socket with its mode and group and returns its descriptor. A socket that
 * nobody listens on is replaced; one that answers belongs to another daemon.
 */
export async function openSocket(config: Config): Promise<number> {
  const path = socketPath(config)
  try {
    return await open(config, path)
  } catch (error) {
    throw fileError(error, `opening the socket ${path}`)
  }
}

async function open(config: Config, path: string): Promise<number> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  await removeStaleSocket(path)
  const fd = listenUnix(path, BACKLOG)
  chmodSync(path, Number.parseInt(config.socket_mode, 8))
  if (config.socket_group !== '')
    chownSync(path, process.getuid?.() ?? 0, groupId(config.socket_group))
  return fd
}

/** Takes the name of an opened socket away, while it is still listened on and so is nobody else's. */
export function removeSocket(config: Pick<Config, 'runtime_dir'>): void {
  unlinkIfPresentSync(socketPath(config))
}

async function removeStaleSocket(path: string): Promise<void> {
  try {
    if (!lstatSync(path).isSocket())
      throw new CkptdError('invalid_config', `${path} exists and is no socket`)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  const answers = await new Promise<boolean>((resolve) => {
    const socket = connect(path)
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
  if (answers) throw new CkptdError('runtime_locked', `another daemon answers at ${path}`)
  unlinkSync(path)
}

function groupId(group: string): number {
  if (/^\d+$/.test(group)) return Number(group)
  return groupFromDatabase(group)
}
