import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync } from 'node:fs'
import { mount } from '../../../src/os/linux.ts'
import { makeLoopImage, mountLoopImage } from '../../support/loop-image.ts'
import { makeScratch } from '../../support/scratch.ts'
import { fillFile } from './fill-file.ts'

/**
 * A filesystem on a disk that promises more than it has: writes succeed, and the flush finds that
 * there is no room for them. What is lost stays in memory as if it were on the disk.
 */
export interface ThinDisk extends AsyncDisposable {
  readonly path: string
  /** The file that takes its room, where another process is to fill it. */
  readonly filler: string
  /** From now on the disk has no room for anything that it does not have yet. */
  fill(): void
  /** It has room again. */
  free(): void
  /** Forgets what is in memory only: what is read afterwards comes from the disk. */
  forget(): void
  /** What the disk would hold after a power cut, mounted. */
  cutPower(): string
}

export function makeThinDisk(): ThinDisk {
  const scratch = makeScratch('thin')
  const pool = scratch.join('pool')
  mkdirSync(pool)
  mount('tmpfs', pool, 'tmpfs', 0, 'size=160m')
  const image = `${pool}/image`
  // Without a journal, or the filesystem itself would stop at the first lost block; its tables of
  // inodes have their room from the start.
  let loop = makeLoopImage(image, scratch.join('mnt'), {
    sizeMb: 320,
    mkfs: ['-O', '^has_journal', '-m', '0', '-N', '4096', '-E', 'lazy_itable_init=0'],
  })
  const filler = `${pool}/filler`
  return {
    path: loop.mountPoint,
    filler,
    fill: () => fillPool(loop.mountPoint, filler),
    free: () => rmSync(filler),
    forget: () => {
      loop[Symbol.dispose]()
      loop = mountLoopImage(image, loop.mountPoint)
    },
    cutPower: () => {
      const copy = scratch.join('copy')
      execFileSync('cp', ['--sparse=always', image, `${copy}.image`])
      return mountLoopImage(`${copy}.image`, copy).mountPoint
    },
    [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose](),
  }
}

/** Takes all the room that a thin disk has left, once what is written so far has its own. */
export function fillPool(mountPoint: string, filler: string): void {
  execFileSync('sync', ['-f', mountPoint])
  fillFile(filler)
}
