/** A pax header's records: keyword → value as bytes; an empty value takes one back. */
export type PaxRecords = ReadonlyMap<string, Buffer>

/** "123 " in front of a record: more digits than a bounded header's length has are nonsense. */
const LENGTH = /^([1-9][0-9]{0,6}) /

/**
 * Reads `<length> <keyword>=<value>\n` records. Lengths count bytes and rule alone: a value
 * may hold line feeds. Undefined where the header is not exactly a sequence of records.
 */
export function parsePaxRecords(body: Buffer): PaxRecords | undefined {
  const records = new Map<string, Buffer>()
  for (let at = 0; at < body.length; ) {
    const digits = LENGTH.exec(body.toString('latin1', at, at + 8))?.[1]
    if (digits === undefined) return undefined
    const end = at + Number(digits)
    const from = at + digits.length + 1
    const equals = body.indexOf(0x3d, from)
    if (end > body.length || body[end - 1] !== 0x0a || equals <= from || equals >= end)
      return undefined
    records.set(
      body.toString('utf8', from, equals),
      Buffer.from(body.subarray(equals + 1, end - 1)),
    )
    at = end
  }
  return records
}

/** A pax number of bytes; undefined where it is none. */
export function parsePaxSize(value: Buffer): number | undefined {
  const text = value.toString('latin1')
  if (!/^[0-9]{1,16}$/.test(text)) return undefined
  const size = Number(text)
  return Number.isSafeInteger(size) ? size : undefined
}
