import { dirname } from 'node:path'
import type { MountResult } from '../../agent-protocol/job.ts'
import { CommandError } from '../command-error.ts'
import { NAMESPACE_SCRIPT } from './namespace-script.ts'

type Mounts = MountResult['mounts']

/** What the host has, asked before anything is mounted. */
export interface HostFacts {
  isDirectory(path: string): boolean
  /** Where the daemon mounts for all jobs. */
  readonly jobsDirectory: string
}

/** Flags of a mount in the OCI options that `mount -o remount,bind` can set. */
const FLAGS = new Set(['ro', 'nosuid', 'nodev', 'noexec'])

/**
 * The command line that runs a command in a mount namespace of its own, with the mounts at
 * their places. Directories that the host does not have exist in the namespace only.
 * Propagation is "slave": what the host unmounts later goes here too and is not kept busy.
 */
export function namespaceCommand(
  command: readonly string[],
  mounts: Mounts,
  host: HostFacts,
): string[] {
  const unshare = ['unshare', '--mount', '--propagation', 'slave', '--']
  const script = ['/bin/sh', '-c', NAMESPACE_SCRIPT, 'ckpt-run']
  return [...unshare, ...script, ...namespaceSteps(mounts, host), 'exec', ...command]
}

/** The arguments of the script before "exec". */
export function namespaceSteps(mounts: Mounts, host: HostFacts): string[] {
  const missing = mounts.map(({ destination }) => destination).filter((d) => !host.isDirectory(d))
  const covers = [...new Set(missing.map((path) => nearestDirectory(path, host)))]
  // Outer ones first: covering one binds the inner ones back before they are covered.
  covers.sort((a, b) => a.length - b.length)
  return [
    ...covers.flatMap((path) => ['cover', path]),
    ...missing.flatMap((path) => ['directory', path]),
    ...covers.flatMap((path) => ['seal', path]),
    ...mounts.flatMap(({ source, destination, options }) => [
      'bind',
      source,
      destination,
      options.filter((option) => FLAGS.has(option)).join(','),
    ]),
    'forget',
    host.jobsDirectory,
  ]
}

function nearestDirectory(path: string, host: HostFacts): string {
  let at = dirname(path)
  while (at !== '/' && !host.isDirectory(at)) at = dirname(at)
  if (at !== '/') return at
  throw new CommandError('not_possible_here', `this host has no directory above ${path}`, {
    hint: `Make one, such as ${path.split('/').slice(0, 2).join('/')}; without a container nothing can be added to "/".`,
  })
}
