/** One line of /proc/PID/mountinfo (proc_pid_mountinfo(5)); paths are decoded. */
export interface KernelMount {
  readonly id: number
  readonly parentId: number
  /** "major:minor" of the filesystem, as the kernel shows it (btrfs: not what stat tells). */
  readonly device: string
  /** What of the filesystem is mounted: its path from the filesystem's own root. */
  readonly root: string
  /** Where, seen from the root of the process whose table it is. */
  readonly mountPoint: string
  readonly options: readonly string[]
  /** `shared:N`, `master:N`, … */
  readonly propagation: readonly string[]
  readonly type: string
  readonly source: string
}

/** The kernel writes space, tab, line feed, backslash and "#" as three octal digits. */
export function decodeOctal(text: string): string {
  return text.includes('\\')
    ? text.replaceAll(/\\([0-3][0-7]{2})/g, (_, digits: string) =>
        String.fromCharCode(Number.parseInt(digits, 8)),
      )
    : text
}

/** Undefined where the line is none of the format. */
export function parseKernelMount(line: string): KernelMount | undefined {
  const [id, parentId, device, root, mountPoint, options, ...rest] = line.split(' ')
  const separator = rest.indexOf('-')
  const [type, source] = rest.slice(separator + 1)
  if (
    id === undefined ||
    parentId === undefined ||
    device === undefined ||
    root === undefined ||
    mountPoint === undefined ||
    options === undefined ||
    separator === -1 ||
    type === undefined ||
    source === undefined
  )
    return undefined
  return {
    id: Number(id),
    parentId: Number(parentId),
    device,
    root: decodeOctal(root),
    mountPoint: decodeOctal(mountPoint),
    options: options.split(','),
    propagation: rest.slice(0, separator),
    type,
    source: decodeOctal(source),
  }
}

export function parseKernelTable(text: string): KernelMount[] {
  const mounts: KernelMount[] = []
  for (const line of text.split('\n')) {
    if (line === '') continue
    const mount = parseKernelMount(line)
    if (mount !== undefined) mounts.push(mount)
  }
  return mounts
}

/** Whether a path is `directory` or lies below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`)
}

/** A root whose directory was removed meanwhile is shown with this suffix. */
export function withoutDeletedMark(root: string): string {
  return root.endsWith('//deleted') ? root.slice(0, -'//deleted'.length) : root
}
