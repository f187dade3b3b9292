import type { FlagTable } from './runtime-flags.ts'

/** One argument that begins with "-", as podman and docker (both by pflag) read it. */
export interface Flag {
  /** Long name or letters, with what was given to each in the same argument. */
  readonly parts: readonly { readonly name: string; readonly value?: string }[]
  /**
   * Whether the next argument is the value of the last part; "unknown" where the table does
   * not have the option, so that it may be a switch or take a value.
   */
  readonly takesNext: boolean | 'unknown'
}

export function readFlag(argument: string, table: FlagTable): Flag {
  return argument.startsWith('--') ? readLong(argument, table) : readLetters(argument, table)
}

function readLong(argument: string, table: FlagTable): Flag {
  const equals = argument.indexOf('=')
  if (equals !== -1)
    return {
      parts: [{ name: argument.slice(2, equals), value: argument.slice(equals + 1) }],
      takesNext: false,
    }
  const name = argument.slice(2)
  const takesNext = table.valued.has(name) ? true : table.switches.has(name) ? false : 'unknown'
  return { parts: [{ name }], takesNext }
}

/** `-itd`, `-vSRC:DST`, `-d=false`: switches until one takes the rest as its value. */
function readLetters(argument: string, table: FlagTable): Flag {
  const parts: { name: string; value?: string }[] = []
  for (let at = 1; at < argument.length; at++) {
    const name = argument.charAt(at)
    const rest = argument.slice(at + 1)
    if (rest.startsWith('=')) {
      parts.push({ name, value: rest.slice(1) })
      return { parts, takesNext: false }
    }
    if (table.switchLetters.includes(name)) {
      parts.push({ name })
      continue
    }
    if (rest !== '' && table.valuedLetters.includes(name)) {
      parts.push({ name, value: rest })
      return { parts, takesNext: false }
    }
    parts.push({ name })
    if (rest === '')
      return { parts, takesNext: table.valuedLetters.includes(name) ? true : 'unknown' }
  }
  return { parts, takesNext: false }
}
