import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { unmount } from '../../src/os/linux.ts'

/** A filesystem of its own in a file. */
export interface LoopImage extends Disposable {
  readonly image: string
  readonly mountPoint: string
}

export function makeLoopImage(
  image: string,
  mountPoint: string,
  options: {
    sizeMb: number
    type?: 'ext4' | 'xfs' | 'btrfs'
    mkfs?: readonly string[]
    mount?: string
  },
): LoopImage {
  const type = options.type ?? 'ext4'
  execFileSync('truncate', ['-s', `${options.sizeMb}M`, image])
  const quiet = type === 'ext4' ? ['-q', '-F'] : ['-q', '-f']
  execFileSync(`mkfs.${type}`, [...quiet, ...(options.mkfs ?? []), image])
  return mountLoopImage(image, mountPoint, options.mount)
}

export function mountLoopImage(image: string, mountPoint: string, options = 'rw'): LoopImage {
  mkdirSync(mountPoint, { recursive: true })
  // A copy of an XFS image has the UUID of the original, which may be mounted too.
  execFileSync('mount', ['-o', `loop,${options}`, image, mountPoint])
  return {
    image,
    mountPoint,
    [Symbol.dispose]: () => unmount(mountPoint),
  }
}
