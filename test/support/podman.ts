import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdirSync, symlinkSync } from 'node:fs'
import { removeTree } from '../../src/cache/thread/remove-tree.ts'
import { makeScratch, unmountBelow } from './scratch.ts'

/** podman with runc, a store of its own, and an image that holds busybox. */
export interface Podman extends AsyncDisposable {
  readonly image: string
  /** The whole command line up to and with `run --rm …`, to which options and image are added. */
  readonly run: readonly string[]
  /** Runs a container to its end and returns what it printed on both streams, and its status. */
  execute(
    options: readonly string[],
    command: readonly string[],
  ): Promise<{ status: number | null; output: string }>
  start(options: readonly string[], command: readonly string[]): ChildProcess
}

/** runc refuses the host's hard limits here unless told other ones; the rest is isolation. */
const RUN = [
  'run',
  '--rm',
  '--network=none',
  '--ulimit',
  'nofile=1024:1024',
  '--ulimit',
  'nproc=1024:1024',
]
const APPLETS = [
  'sh',
  'ls',
  'cat',
  'mkdir',
  'touch',
  'head',
  'stat',
  'mount',
  'sleep',
  'id',
  'ln',
  'mkfifo',
  'chmod',
  'dd',
  'sha256sum',
  'find',
  'wc',
  'true',
  'rm',
  'grep',
  'printenv',
]

export function startPodman(): Podman {
  const scratch = makeScratch('podman')
  const rootfs = scratch.join('rootfs')
  mkdirSync(`${rootfs}/bin`, { recursive: true })
  cpSync('/bin/busybox', `${rootfs}/bin/busybox`)
  for (const applet of APPLETS) symlinkSync('busybox', `${rootfs}/bin/${applet}`)
  const podman = [
    'podman',
    '--root',
    scratch.join('root'),
    '--runroot',
    scratch.join('runroot'),
    '--runtime',
    'runc',
  ]
  const image = 'ckptd-test:1'
  execFileSync(
    'sh',
    ['-c', `tar -C "$0" -c . | "$@" import --quiet - ${image}`, rootfs, ...podman],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const start: Podman['start'] = (options, command) =>
    spawn(podman[0] ?? '', [...podman.slice(1), ...RUN, ...options, image, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  return {
    image,
    run: [...podman, ...RUN],
    start,
    execute: async (options, command) => {
      const child = start(options, command)
      let output = ''
      for (const stream of [child.stdout, child.stderr])
        stream?.on('data', (chunk: Buffer) => {
          output += chunk.toString()
        })
      const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
      return { status, output }
    },
    [Symbol.asyncDispose]: async () => {
      unmountBelow(scratch.path)
      await removeTree(scratch.path)
    },
  }
}
