import { memberError } from './archive-error.ts'
import type { FileMember, Member } from './member.ts'
import { parseLinkName, parseMemberName, parseSymlinkTarget } from './member-name.ts'
import type { TarHeader } from './tar-header.ts'

/** Types that no checkpoint can hold, in words. */
const REFUSED: Readonly<Record<string, string>> = {
  '3': 'is a character device',
  '4': 'is a block device',
  '6': 'is a FIFO',
  D: 'is a directory of a GNU incremental archive',
  M: 'goes on from another volume of a multi-volume archive',
  N: 'is an old GNU list of long names',
  S: 'is a GNU sparse file: pack it without --sparse',
  s: 'is a socket',
  A: 'is an access control list of Solaris',
}

const OWNER_EXECUTE = 0o100

/** What a header with everything applied describes; undefined where it is no entry of the tree. */
export function tarMember(
  archive: string,
  place: Pick<Member, 'index' | 'offset'>,
  header: TarHeader & { readonly sizeBytes: number },
  read: FileMember['read'],
): Member | undefined {
  const { sizeBytes, type } = header
  const refuse = (why: string): never => {
    throw memberError(archive, header.name.toString('utf8'), why)
  }
  const kind = kindOf(type)
  // A volume's label, which GNU tar writes as a member.
  if (type === 'V' && sizeBytes === 0) return undefined
  if (kind === undefined)
    return refuse(REFUSED[type] ?? `has the unknown type ${JSON.stringify(type)}`)
  if (kind !== 'file' && sizeBytes > 0)
    return refuse(`is a ${kind} and yet has ${sizeBytes} bytes of data`)
  const name = parseMemberName(header.name)
  if (name.root) {
    const isDirectory = kind === 'directory' || (kind === 'file' && name.slash && sizeBytes === 0)
    return isDirectory ? undefined : refuse('is the root and no directory')
  }
  const { path } = name
  switch (kind) {
    case 'directory':
      return { kind, ...place, path }
    case 'symbolic link':
      return { kind: 'symlink', ...place, path, target: parseSymlinkTarget(path, header.linkName) }
    case 'hard link':
      return { kind: 'link', ...place, path, target: parseLinkName(path, header.linkName) }
    case 'file':
      break
  }
  // The oldest format knows a directory by its name alone.
  if (name.slash && sizeBytes > 0) return refuse('has a directory’s name and a file’s data')
  if (name.slash) return { kind: 'directory', ...place, path }
  if (header.mode === undefined) return refuse('has a mode that is no number')
  return { kind, ...place, path, sizeBytes, executable: (header.mode & OWNER_EXECUTE) !== 0, read }
}

function kindOf(type: string): 'file' | 'hard link' | 'symbolic link' | 'directory' | undefined {
  switch (type) {
    case '0':
    case '\0':
    case '7':
      return 'file'
    case '1':
      return 'hard link'
    case '2':
      return 'symbolic link'
    case '5':
      return 'directory'
    default:
      return undefined
  }
}
