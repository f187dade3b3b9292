import { execFileSync } from 'node:child_process'
import { chmodSync } from 'node:fs'
import { makeLoopImage } from '../test/support/loop-image.ts'
import { makeScratch, type Scratch, unmountBelow } from '../test/support/scratch.ts'
import { command } from './command.ts'
import { SCALE } from './sizes.ts'

/** A file that stands for a disk. */
export interface Disk extends AsyncDisposable {
  /** Makes a new ext4 on it, mounted until it is disposed of. */
  format(): Scratch
}

/** Sources, archives, copies and a store at once, with room to spare. */
const SIZE_MB = Math.ceil(2048 + 14 * 1024 * SCALE)

/**
 * Timed work gets a filesystem of its own, so that what the machine's is like does not decide: it
 * may have no journal, or be slow to make files where many were removed. The file is written
 * whole before, so that nothing of the filesystem below has to be allocated in a timed run.
 */
export async function makeDisk(): Promise<Disk> {
  const scratch = makeScratch('bench')
  const image = scratch.join('disk')
  try {
    // The daemon's user and nginx's have to reach their directories.
    chmodSync(scratch.path, 0o755)
    await command('dd', [
      'if=/dev/zero',
      `of=${image}`,
      'bs=1M',
      `count=${SIZE_MB}`,
      'oflag=direct',
      'conv=fsync',
      'status=none',
    ])
  } catch (error) {
    await scratch[Symbol.asyncDispose]()
    throw error
  }
  return {
    format: () => mountFresh(image, scratch.join('mounted')),
    [Symbol.asyncDispose]: () => scratch[Symbol.asyncDispose](),
  }
}

/** ext4 with a journal, its tables written now and not behind the first runs. */
function mountFresh(image: string, path: string): Scratch {
  makeLoopImage(image, path, {
    sizeMb: SIZE_MB,
    mkfs: ['-O', 'has_journal', '-E', 'nodiscard,lazy_itable_init=0,lazy_journal_init=0'],
  })
  // Cached once, by the filesystem in it, and not a second time as a file.
  const device = execFileSync('losetup', ['-n', '-O', 'NAME', '-j', image], { encoding: 'utf8' })
  execFileSync('losetup', ['--direct-io=on', device.trim()])
  return {
    path,
    join: (...names) => [path, ...names].join('/'),
    [Symbol.asyncDispose]: () => {
      unmountBelow(path)
      return Promise.resolve()
    },
  }
}
