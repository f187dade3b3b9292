import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { isWithin, parseKernelTable } from '../../../src/mount/kernel-table.ts'
import type { MountdOptions } from '../../../src/mount/mountd.ts'
import { unmount } from '../../../src/os/linux.ts'

/** The daemon's user in these tests: nobody has this id. */
export const PEER = { uid: 30_001, gid: 30_002 }

export interface World extends Disposable {
  readonly root: string
  readonly dataDir: string
  readonly runtimeDir: string
  readonly cdiDir: string
  readonly options: Omit<MountdOptions, 'log' | 'signal'>
  /** Makes a view that holds the given files; answers its name. */
  view(letter: string, files?: Record<string, string>, domain?: string): string
  viewPath(view: string): string
  outputPath(job: string, worker?: number): string
  stagingPath(job: string, worker?: number): string
}

/** A host of its own in a scratch directory; everything mounted there goes with it. */
export function makeWorld(): World {
  const root = mkdtempSync(join(tmpdir(), 'ckptd-mount-'))
  chmodSync(root, 0o755)
  const dataDir = join(root, 'data')
  const runtimeDir = join(root, 'run')
  const cdiDir = join(root, 'cdi')
  const viewPath = (view: string): string => join(dataDir, 'views', view)
  for (const name of ['', 'views', 'views/host', 'staging']) makePeerDirectory(join(dataDir, name))
  return {
    root,
    dataDir,
    runtimeDir,
    cdiDir,
    options: {
      dataDir,
      runtimeDir,
      cdiDir,
      containerPrefix: '/opt/trainml',
      envPrefix: 'TRAINML',
      peerUid: PEER.uid,
      peerGid: PEER.gid,
    },
    view: (letter, files = { weights: letter }, domain = 'host') => {
      const view = `${domain}/${letter.repeat(64)}.1`
      makePeerDirectory(dirname(viewPath(view)))
      makePeerDirectory(viewPath(view))
      for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(join(viewPath(view), name)), { recursive: true })
        writeFileSync(join(viewPath(view), name), text)
      }
      return view
    },
    viewPath,
    outputPath: (job, worker = 1) => join(dataDir, 'outputs', `${job}.${worker}`),
    stagingPath: (job, worker = 1) => join(dataDir, 'staging', `output.${job}.${worker}`),
    [Symbol.dispose]: () => {
      for (const { mountPoint } of mountsBelow(root).toReversed()) unmount(mountPoint)
      rmSync(root, { recursive: true, force: true })
    },
  }
}

export function makePeerDirectory(path: string): void {
  mkdirSync(path, { recursive: true })
  chownSync(path, PEER.uid, PEER.gid)
}

export function mountsBelow(directory: string): ReturnType<typeof parseKernelTable> {
  return parseKernelTable(readFileSync('/proc/self/mountinfo', 'utf8')).filter(({ mountPoint }) =>
    isWithin(mountPoint, directory),
  )
}
